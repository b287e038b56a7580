"""One file that holds an index: a header in JSON, arrays, a FAISS index, and a sha256 over all of it.

FAISS reads damaged files without a word, so nothing is given to it before the checksum holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np

from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import DataLoss, NotFound

_MAGIC = b"PENULT-INDEX-1\n"
_DIGEST_BYTES = 32
_CHUNK = 4 << 20


class Writer:
    """Writes the parts of a snapshot in order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Appends bytes, and says how many."""
        self._file.write(data)
        self._hash.update(data)
        size = len(data) if isinstance(data, bytes) else data.nbytes
        self.bytes += size
        return size

    def header(self, facts: dict[str, Any]) -> None:
        """Begins the file, or the next index in it."""
        self.write(_MAGIC + json.dumps(facts).encode() + b"\n")

    def array(self, values: np.ndarray) -> None:
        """Appends an array without its shape and type, which the header must tell."""
        if values.size:
            self.write(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)

    def faiss_index(self, index: faiss.Index) -> None:
        """Appends a FAISS index."""
        # In pieces: FAISS hands over a whole array at once, and Python would copy it.
        faiss.write_index(index, faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(self.write)))

    def digest(self) -> bytes:
        """sha256 of what was written."""
        return self._hash.digest()


class Reader:
    """Reads the parts of a checked snapshot in order."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file

    def header(self) -> dict[str, Any]:
        """The next header."""
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("no header")
        facts: dict[str, Any] = json.loads(self._file.readline())
        return facts

    def array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """The next array."""
        values = np.empty(shape, dtype)
        if values.size and self._file.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:
            raise EOFError
        return values

    def faiss_index(self) -> faiss.Index:
        """The next FAISS index."""
        return faiss.read_index(faiss.PyCallbackIOReader(self._file.read))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Opens a new file under a temporary name that takes the place of `path`, durably, when all went well.

    Raises:
        ResourceExhausted: DISK_FULL.
        FailedPrecondition: DISK_READ_ONLY.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with disk_faults():
            with open(temporary, "wb") as file:
                writer = Writer(file)
                yield writer
                file.write(writer.digest())
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
            handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Opens a file whose checksum holds.

    Raises:
        NotFound: INDEX_SNAPSHOT_MISSING.
        DataLoss: INDEX_SNAPSHOT_DAMAGED, also for what goes wrong inside the block while reading.
    """
    try:
        with open(path, "rb") as file:
            _check(file)
            file.seek(0)
            yield Reader(file)
    except FileNotFoundError:
        raise NotFound("INDEX_SNAPSHOT_MISSING", "there is no snapshot of this index") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise damaged(f"it cannot be read ({type(error).__name__})") from error


def damaged(why: str) -> DataLoss:
    """The error for a snapshot that cannot be used."""
    return DataLoss(
        "INDEX_SNAPSHOT_DAMAGED",
        f"the snapshot of the index cannot be used: {why}",
        hint="the index is built anew from its rows",
    )


def _check(file: BinaryIO) -> None:
    size = os.fstat(file.fileno()).st_size
    left = size - _DIGEST_BYTES
    if left < len(_MAGIC) or file.read(len(_MAGIC)) != _MAGIC:
        raise damaged("it is no snapshot of this version")
    file.seek(0)
    found = hashlib.sha256()
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise EOFError
        found.update(chunk)
        left -= len(chunk)
    if found.digest() != file.read(_DIGEST_BYTES):
        raise damaged("its checksum does not hold")
