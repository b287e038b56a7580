"""The check for breaking protos, on small histories of its own: it finds a break and never invents one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("breaking.py")
BUF = Path(sys.executable).with_name("buf")

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(not BUF.exists(), reason="buf-bin is not installed beside this interpreter"),
]


class History:
    """A git repository whose only content is one proto with one field."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "protos").mkdir(parents=True)
        (folder / "protos" / "buf.yaml").write_text("version: v2\nbreaking:\n  use: [FILE]\n")
        self.git("init", "--quiet")
        self.git("symbolic-ref", "HEAD", "refs/heads/main")

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True)

    def edit(self, *, number: int) -> None:
        text = f'syntax = "proto3";\npackage a.v1;\nmessage M {{\n  string name = {number};\n}}\n'
        (self.folder / "protos" / "m.proto").write_text(text)

    def commit(self, *, number: int) -> None:
        self.edit(number=number)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    def check(self) -> tuple[bool, str]:
        command = [sys.executable, str(SCRIPT), "--buf", str(BUF), "--root", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        return done.returncode == 0, done.stdout


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "repository")


def test_break_in_working_tree_is_found(history: History) -> None:
    history.commit(number=1)
    history.commit(number=1)
    assert history.check()[0]
    history.edit(number=2)
    passed, said = history.check()
    assert not passed
    assert "Previously present field" in said


def test_break_anywhere_on_a_branch_is_found(history: History) -> None:
    history.commit(number=1)
    history.git("checkout", "--quiet", "-b", "feature")
    history.commit(number=2)
    history.commit(number=2)
    passed, said = history.check()
    assert not passed
    assert "where this branch left main" in said


def test_a_release_counts_more_than_the_previous_commit(history: History) -> None:
    history.commit(number=1)
    history.git("tag", "v0.1.0")
    history.commit(number=2)
    history.commit(number=2)
    passed, said = history.check()
    assert not passed
    assert "release v0.1.0" in said


def test_first_commit_has_nothing_to_compare_with(history: History) -> None:
    history.commit(number=1)
    assert history.check() == (True, "no earlier protos in this clone's history: nothing to compare with\n")


def test_shallow_clone_has_nothing_to_compare_with(history: History, tmp_path: Path) -> None:
    history.commit(number=1)
    history.commit(number=2)
    clone = tmp_path / "clone"
    history.git("clone", "--quiet", "--depth=1", history.folder.as_uri(), str(clone))
    history.folder = clone
    passed, said = history.check()
    assert passed
    assert "nothing to compare with" in said
