"""A file on its way to a server: its checksum beforehand, and its bytes in pieces of 1 MiB."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from penult.errors import InvalidArgument

_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class SentFile:
    """Its path, its size, and the sha256 of its bytes in lower-case hex."""

    path: Path
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], what: str = "") -> SentFile:
        """Reads the whole file once; `what` is for the words of InvalidArgument, where it cannot be read."""
        file = Path(path).expanduser()
        digest, size = hashlib.sha256(), 0
        try:
            for block in _blocks(file):
                digest.update(block)
                size += len(block)
        except OSError as error:
            raise InvalidArgument(
                f"cannot read {what}{str(path)!r}: {error.strerror}", reason="FILE_UNREADABLE"
            ) from error
        return cls(file, size, digest.hexdigest())

    def blocks(self) -> Iterator[bytes]:
        """The bytes in order; the file is never in memory as a whole."""
        return _blocks(self.path)

    def seconds(self, timeout: float) -> float:
        """`timeout`, and one second more for each MiB: a slow line is no reason to give up."""
        return timeout + self.size_bytes / _BLOCK_BYTES


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
