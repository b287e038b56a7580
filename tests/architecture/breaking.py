"""Checks that `protos/` still serves clients of the state before: `python breaking.py --buf .venv/bin/buf`.

The state before is the newest release tag (`v*`); without one, where this branch left the main
branch; on the main branch itself, the previous commit. A clone too shallow to hold any of them, or
no git at all, leaves nothing to compare with, which is said and passes. A change that is meant to
break goes into `breaking.ignore_only` of `protos/buf.yaml`, where a reviewer sees it.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Returns buf's exit status, 0 where there is nothing to compare with."""
    parser = argparse.ArgumentParser(description="buf breaking against the state before")
    parser.add_argument("--buf", required=True, help="path of the buf executable")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to look at")
    arguments = parser.parse_args()

    base = find_base(arguments.root)
    if base is None:
        print("no earlier protos in this clone's history: nothing to compare with")
        return 0
    commit, reason = base
    print(f"against {commit[:12]} ({reason})")
    with tempfile.TemporaryDirectory() as folder:
        archive = _git(arguments.root, "archive", "--format=zip", commit, "protos")
        assert archive is not None, f"git cannot read protos of {commit}"
        zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
        against = str(Path(folder) / "protos")
        return subprocess.call(
            [arguments.buf, "breaking", "protos", "--against", against], cwd=arguments.root
        )


def find_base(root: Path) -> tuple[str, str] | None:
    """Commit to compare with, and why that one; None where the history holds no earlier protos."""
    for revision, reason in _candidates(root):
        commit = _text(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if commit and _text(root, "ls-tree", "-r", "--name-only", commit, "protos"):
            return commit, reason
    return None


def _candidates(root: Path) -> list[tuple[str, str]]:
    candidates: list[tuple[str, str]] = []
    tag = _text(root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if tag:
        candidates.append((tag, f"release {tag}"))
    head = _text(root, "rev-parse", "HEAD")
    for branch in ("origin/main", "main"):
        fork = _text(root, "merge-base", "HEAD", branch)
        if fork and fork != head:
            candidates.append((fork, f"where this branch left {branch}"))
    candidates.append(("HEAD~1", "the previous commit"))
    return candidates


def _text(root: Path, *arguments: str) -> str:
    """What git says, stripped; empty where it fails."""
    return (_git(root, *arguments) or b"").decode().strip()


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return None
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
