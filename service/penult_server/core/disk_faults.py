"""What errors of the file system mean to a caller, for whatever writes files."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from penult_server.core.errors import FailedPrecondition, PenultError, ResourceExhausted

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FAILED = (errno.EROFS, errno.EIO)
"""A disk that fails is turned read-only by the kernel; until then it gives errors of its own."""


def disk_full() -> ResourceExhausted:
    """What everybody answers when there is no room left."""
    return ResourceExhausted(
        "DISK_FULL", "the disk of the server's data directory is full", hint="free some space on the server"
    )


def disk_read_only() -> FailedPrecondition:
    """What everybody answers when nothing can be written any more."""
    return FailedPrecondition(
        "DISK_READ_ONLY",
        "the server's data directory cannot be written any more",
        hint="look at the server's disk",
    )


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room."""
    return error.errno in _FULL


def meaning(error: OSError) -> PenultError | None:
    """What it says about the disk; None where it says nothing about that."""
    if is_full(error):
        return disk_full()
    return disk_read_only() if error.errno in _FAILED else None


@contextlib.contextmanager
def disk_faults() -> Iterator[None]:
    """Raises errors of the file system as what they mean; those that mean nothing here as they are.

    Raises:
        ResourceExhausted: DISK_FULL.
        FailedPrecondition: DISK_READ_ONLY.
    """
    try:
        yield
    except OSError as error:
        if told := meaning(error):
            raise told from error
        raise
