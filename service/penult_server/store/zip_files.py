"""Archives as ZIP files without compression, which other programs can read as well.

`SHA256SUMS` in them has the checksums of other members, as `sha256sum --check` reads them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

from penult_server.core.archives import CHUNK_BYTES, FileFacts
from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import InvalidArgument

SUMS = "SHA256SUMS"
_BLOCK = 1 << 20
_MAX_SUMS = 1 << 20
_MADE_OF_BYTES = (
    zipfile.BadZipFile, EOFError, OSError, struct.error,
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
    RuntimeError,  # members that say that they are encrypted, or JSON too deep
)  # fmt: skip
"""What zipfile and parsers raise at bytes that are none of theirs."""
_MADE_OF_NAMES = (errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
"""Errors of the file system that are the fault of names: nowhere, twice, or below a file."""


class PackedZip:
    """Implements core.archives.PackedFile over a file in a directory of its own."""

    def __init__(self, path: Path) -> None:
        """Reads the whole file once."""
        self._path = path
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        self.facts = FileFacts(path.stat().st_size, digest.hexdigest())

    def chunks(self) -> Iterator[bytes]:
        """See core.archives.PackedFile."""
        with open(self._path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def discard(self) -> None:
        """See core.archives.PackedFile."""
        shutil.rmtree(self._path.parent, ignore_errors=True)


class ZipMembers:
    """Members of an archive that is being written, with their checksums."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        """`archive` is open for writing."""
        self._archive = archive
        self._sums: list[str] = []

    def member(self, name: str) -> Member:
        """A file in it: `with members.member(name) as write: write(data)`."""
        return Member(self._archive.open(name, "w", force_zip64=True), name, self._sums)

    def finish(self) -> None:
        """Adds the checksums."""
        self._archive.writestr(SUMS, "".join(self._sums))


class Member:
    """A file in the archive that adds its checksum to a list at the end."""

    def __init__(self, file: IO[bytes], name: str, sums: list[str]) -> None:
        self._file = file
        self._name = name
        self._sums = sums
        self._digest = hashlib.sha256()

    def __enter__(self) -> Member:
        return self

    def __call__(self, data: bytes) -> int:
        """Appends bytes."""
        self._digest.update(data)
        return self._file.write(data)

    def __exit__(self, kind: object, *rest: object) -> None:
        self._file.close()
        self._sums.append(f"{self._digest.hexdigest()}  {self._name}\n")


class ReceivedZip:
    """Implements core.archives.ReceivedFile. Nothing in the file is believed before it is checked."""

    def __init__(self, workspace: Path, invalid: Callable[[str], InvalidArgument]) -> None:
        """`workspace` is a directory of its own; `invalid` is the error for what is no whole archive."""
        self.workspace = workspace
        self._invalid = invalid
        self._path = workspace / "archive"
        self._digest = hashlib.sha256()
        self._size = 0
        self._file: IO[bytes] | None = open(self._path, "wb")  # noqa: SIM115 - closed by facts or discard
        self._archive: zipfile.ZipFile | None = None

    def write(self, chunk: bytes) -> None:
        """See core.archives.ReceivedFile."""
        assert self._file is not None
        self._digest.update(chunk)
        self._size += len(chunk)
        with disk_faults():
            self._file.write(chunk)

    def facts(self) -> FileFacts:
        """See core.archives.ReceivedFile."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return FileFacts(self._size, self._digest.hexdigest())

    def discard(self) -> None:
        """See core.archives.ReceivedFile."""
        self.facts()
        if self._archive is not None:
            self._archive.close()
        shutil.rmtree(self.workspace, ignore_errors=True)

    @contextlib.contextmanager
    def distrusted(self) -> Iterator[None]:
        """Raises what bytes of anybody make of zipfile and of parsers as `invalid`, and what the disk says.

        Raises:
            InvalidArgument: `invalid`.
            ResourceExhausted, FailedPrecondition: see core.disk_faults.
        """
        try:
            with disk_faults():
                yield
        except _MADE_OF_BYTES as error:
            if isinstance(error, OSError) and error.errno not in _MADE_OF_NAMES:
                raise
            raise self._invalid(f"it cannot be read ({type(error).__name__})") from error

    def opened(self) -> zipfile.ZipFile:
        """The archive. Raises zipfile's errors, and `invalid` where its members are compressed."""
        archive = self._archive = zipfile.ZipFile(self._path)
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise self._invalid("its members are compressed")
        if sum(info.file_size for info in archive.infolist()) > self._size:
            raise self._invalid("its members lie over each other")
        return archive

    def check_sums(self, archive: zipfile.ZipFile, names: Collection[str] | None = None) -> None:
        """That these members, or all, are what they were. Raises `invalid`, and KeyError for missing ones."""
        if archive.getinfo(SUMS).file_size > _MAX_SUMS:
            raise self._invalid(f"its {SUMS} is too long")
        wanted = {}
        for line in archive.read(SUMS).decode().splitlines():
            digest, _, name = line.partition("  ")
            wanted[name] = digest
        if names is None:
            names = wanted
            if sorted([*wanted, SUMS]) != sorted(archive.namelist()):
                raise self._invalid(f"it holds other files than its {SUMS} says")
        for name in names:
            found = hashlib.sha256()
            with archive.open(name) as file:
                while block := file.read(_BLOCK):
                    found.update(block)
            if found.hexdigest() != wanted[name]:
                raise self._invalid(f"the checksum of {name[:80]} does not hold")
