"""One server a data directory."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from penult_server.core.errors import FailedPrecondition

_LOCK = ".lock"


@contextlib.contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Holds the directory for this process, creating it if need be; the kernel lets go when it dies.

    Raises:
        FailedPrecondition: another server holds it, or it cannot be written.
    """
    with _lock_file(directory) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FailedPrecondition(
                "DATA_DIR_IN_USE",
                "another server uses this data directory",
                hint="stop it, or give this one another --data-dir",
            ) from error
        yield


def _lock_file(directory: Path) -> BinaryIO:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return open(directory / _LOCK, "wb")
    except OSError as error:
        raise FailedPrecondition(
            "DATA_DIR_UNUSABLE",
            f"the data directory cannot be written ({error.strerror})",
            hint="give it to the user that runs the server, or give --data-dir another one",
        ) from error
