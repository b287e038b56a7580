"""Images as files named by their sha256: `ab/cdef…` below one folder.

A file appears under its name only when its bytes are on disk, and never changes. Which files are
wanted is the database's to say; one that it does not know was left by a crash.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import DataLoss
from penult_server.store.disk import check_room
from penult_server.store.files import sync_directory, write_durably

SPARE_BYTES = 64 << 20
# File systems write the journal once for all that wait for it: together they wait little longer than one.
_WRITERS = 8


class Blobs:
    """Content-addressed files. Blocking; one thread at a time may write."""

    def __init__(self, directory: Path, *, spare_bytes: int = SPARE_BYTES) -> None:
        """Creates the folder and clears away what a crash left half-written; keeps `spare_bytes` free."""
        self._directory = directory
        self._spare_bytes = spare_bytes
        self._incoming = directory / ".incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        self._writers = concurrent.futures.ThreadPoolExecutor(_WRITERS, thread_name_prefix="blobs")

    def path(self, sha256: str) -> Path:
        """Where the file with this content is, or would be."""
        return self._directory / sha256[:2] / sha256[2:]

    def read(self, sha256: str) -> bytes:
        """The bytes. Raises DataLoss where they are missing or not what they were."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataLoss(
                "IMAGE_DAMAGED",
                f"the stored image {sha256} is missing or damaged",
                hint="delete the example and upload the image again",
            )
        return data

    def size(self, sha256: str) -> int:
        """Bytes of the file with this content, 0 where there is none."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def put(self, images: Mapping[str, bytes]) -> None:
        """Makes files durable, those that are there already left alone.

        Raises:
            ResourceExhausted: the disk is full, or would be.
            FailedPrecondition: it cannot be written any more.
        """
        missing = {sha256: data for sha256, data in images.items() if not self.path(sha256).exists()}
        if not missing:
            return
        check_room(self._directory, sum(map(len, missing.values())) + self._spare_bytes)
        folders = {self.path(sha256).parent for sha256 in missing}
        with disk_faults():
            for folder in folders:
                folder.mkdir(exist_ok=True)
            list(self._writers.map(self._write, missing, missing.values()))
            list(self._writers.map(sync_directory, (*folders, self._directory)))

    def discard(self, sha256s: Iterable[str]) -> None:
        """Removes files. A crash may bring one back, until `sweep` finds it."""
        list(self._writers.map(self._remove, sha256s))

    def sweep(self, wanted: Callable[[str], set[str]]) -> int:
        """Removes every file that `wanted` does not name among those of a two-digit prefix; counts them."""
        removed = 0
        for prefix, names in self._folders():
            unknown = {prefix + name for name in names} - wanted(prefix)
            self.discard(unknown)
            removed += len(unknown)
        return removed

    def close(self) -> None:
        """Ends its threads."""
        self._writers.shutdown()

    def _remove(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)

    def _folders(self) -> Iterator[tuple[str, list[str]]]:
        for folder in sorted(self._directory.iterdir()):
            if folder != self._incoming and folder.is_dir():
                yield folder.name, os.listdir(folder)

    def _write(self, sha256: str, data: bytes) -> None:
        """The file with its bytes on disk; its name is not yet."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        os.close(handle)
        temporary = Path(name)
        try:
            write_durably(temporary, data)
            temporary.rename(self.path(sha256))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise
