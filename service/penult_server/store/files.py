"""Writing files so that a crash leaves either the old state or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Makes renames and new names inside `path` durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Makes the bytes of a file durable, not yet its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, data: bytes) -> None:
    """Writes a new file and syncs its bytes, not yet its name."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rename_durably(source: Path, target: Path) -> None:
    """Moves a file or directory into place in one step. Both must be on one file system."""
    os.rename(source, target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        with contextlib.suppress(FileNotFoundError):
            sync_directory(source.parent)
