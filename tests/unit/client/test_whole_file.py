"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

import penult
from penult._whole_file import WholeFile


class Refused(WholeFile):
    def check(self) -> None:
        raise penult.DataLoss("not what was sent", reason="TEST")


def test_a_file_replaces_the_old_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with WholeFile(path) as whole:
        whole.file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def break_off(path: Path, error: type[BaseException], closed: bool) -> None:
    with WholeFile(path) as whole:
        whole.file.write(b"new")
        if closed:
            whole.file.close()
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("closed", [False, True])
def test_an_error_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException], closed: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error):
        break_off(path, error, closed)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_that_do_not_check_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(penult.DataLoss), Refused(tmp_path / "file") as whole:
        whole.file.write(b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(penult.InvalidArgument) as refused, WholeFile(tmp_path / "no" / "file"):
        pass
    assert refused.value.reason == "OUT_UNWRITABLE"
