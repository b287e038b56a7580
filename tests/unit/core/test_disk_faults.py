from __future__ import annotations

import errno

import pytest

from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import PenultError


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "DISK_FULL"),
        (errno.EDQUOT, "DISK_FULL"),
        (errno.EFBIG, "DISK_FULL"),
        (errno.EROFS, "DISK_READ_ONLY"),
        (errno.EIO, "DISK_READ_ONLY"),
    ],
)
def test_what_the_disk_cannot_do_is_told_by_its_reason(code: int, reason: str) -> None:
    with pytest.raises(PenultError) as caught, disk_faults():
        raise OSError(code, "what the kernel says", "/a/path/of/the/server")
    assert caught.value.reason == reason
    assert caught.value.hint
    assert "/" not in caught.value.message


def test_a_fault_of_the_program_stays_one() -> None:
    with pytest.raises(FileNotFoundError), disk_faults():
        raise FileNotFoundError(errno.ENOENT, "no such file")
