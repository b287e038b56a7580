"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import BinaryIO, TypeVar

from penult.errors import InvalidArgument

T = TypeVar("T", bound="WholeFile")


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """These bytes as a file. Raises InvalidArgument where it cannot be written."""
    with WholeFile(path) as file:
        file.file.write(data)


class WholeFile:
    """A file that is there, with all its bytes on disk, once a `with` block has ended without an error."""

    file: BinaryIO
    """Where the bytes go, inside of the block."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.part")

    def check(self) -> None:
        """Raises where the bytes are not those that should be there; then no file appears."""

    def __enter__(self: T) -> T:
        try:
            self.file = open(self._temporary, "xb")
        except OSError as error:
            raise InvalidArgument(
                f"cannot write {str(self.path)!r}: {error.strerror}", reason="OUT_UNWRITABLE"
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            with contextlib.closing(self.file):
                if kind is not None:
                    return
                self.check()
                self.file.flush()
                os.fsync(self.file.fileno())
            self._temporary.replace(self.path)
        finally:  # an interrupt too must leave nothing behind
            self._temporary.unlink(missing_ok=True)
