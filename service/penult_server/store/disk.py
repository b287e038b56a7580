"""What errors of the file system mean to a caller."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from penult_server.core.errors import FailedPrecondition, ResourceExhausted

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FAILED = (errno.EROFS, errno.EIO)
"""A disk that fails is turned read-only by the kernel; until then it gives errors of its own."""


def check_room(directory: Path, size_bytes: int) -> None:
    """Raises ResourceExhausted DISK_FULL where so much is not free."""
    if shutil.disk_usage(directory).free < size_bytes:
        raise disk_full()


def disk_full() -> ResourceExhausted:
    """What every store answers when there is no room left."""
    return ResourceExhausted(
        "DISK_FULL", "the disk of the server's data directory is full", hint="free some space on the server"
    )


def disk_read_only() -> FailedPrecondition:
    """What every store answers when nothing can be written any more."""
    return FailedPrecondition(
        "DISK_READ_ONLY",
        "the server's data directory cannot be written any more",
        hint="look at the server's disk",
    )


@contextlib.contextmanager
def disk_faults() -> Iterator[None]:
    """Raises such errors as what they mean.

    Raises:
        ResourceExhausted: DISK_FULL.
        FailedPrecondition: DISK_READ_ONLY.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full() from error
        if error.errno in _FAILED:
            raise disk_read_only() from error
        raise
