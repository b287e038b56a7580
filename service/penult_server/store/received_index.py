"""An archive of an index that a client sends: nothing in it is believed before it is checked."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from penult_server.core.archive_index import archive_invalid
from penult_server.core.index_kinds import faults
from penult_server.core.indexes import (
    Candidate,
    IndexMaker,
    ItemFaultError,
    check_item_id,
    check_label_field,
    check_metadata,
)
from penult_server.store import index_rows
from penult_server.store.zip_files import ReceivedZip

_ROWS = 1000
_MAX_INDEX_JSON = 1 << 20
_MAX_LINE = 1 << 16


class ReceivedArchive(ReceivedZip):
    """Implements core.archive_index.ReceivedIndex."""

    def __init__(self, workspace: Path) -> None:
        """`workspace` is a directory of its own."""
        super().__init__(workspace, archive_invalid)
        self._contents: zipfile.ZipFile | None = None
        self._maker: IndexMaker | None = None
        self._count = 0

    def maker(self) -> IndexMaker:
        """See core.archive_index.ReceivedIndex."""
        with self.distrusted():
            archive = self._contents = self.opened()
            if archive.getinfo("index.json").file_size > _MAX_INDEX_JSON:
                raise archive_invalid("its index.json is too long")
            self.check_sums(archive, ("index.json", "items.jsonl", "vectors.npy"))
            facts = json.loads(archive.read("index.json"))
            if facts["format"] != 1:
                raise archive_invalid(f"it has format {facts['format']!r}, and this server knows 1")
            self._maker = index_rows.maker_of(facts["maker"])
            self._count = int(facts["items"])
            check_label_field(self._maker.label_field)
        return self._maker

    def batches(self) -> Iterator[Sequence[Candidate]]:
        """See core.archive_index.ReceivedIndex."""
        assert self._contents is not None
        assert self._maker is not None
        with self.distrusted():
            try:
                yield from self._read(self._contents, self._maker)
            except ItemFaultError as error:
                raise archive_invalid(error.message) from error

    def _read(self, archive: zipfile.ZipFile, maker: IndexMaker) -> Iterator[Sequence[Candidate]]:
        dim, seen = maker.spec.dim, 0
        with archive.open("items.jsonl") as lines, archive.open("vectors.npy") as rows:
            _check_header(rows, (self._count, dim))
            while some := list(itertools.islice(iter(lambda: lines.readline(_MAX_LINE), b""), _ROWS)):
                data = _exactly(rows, 4 * dim * len(some))
                vectors = np.frombuffer(data, "<f4").reshape(len(some), dim)
                if wrong := faults(vectors, maker.spec):
                    raise archive_invalid(f"the vector of item {seen + wrong[0][0]}: {wrong[0][2]}")
                yield [
                    _candidate(archive, maker, seen + place, line, vectors[place])
                    for place, line in enumerate(some)
                ]
                seen += len(some)
        if seen != self._count:
            raise archive_invalid(f"it holds {seen} items and says {self._count}")


def _candidate(
    archive: zipfile.ZipFile, maker: IndexMaker, number: int, line: bytes, vector: np.ndarray
) -> Candidate:
    item_id, metadata, sha256 = json.loads(line)
    image = b""
    if sha256 and maker.keeps_images:
        with contextlib.suppress(KeyError):  # it was lost before the archive was made
            image = archive.read(f"images/{sha256[:2]}/{sha256[2:]}")
        if image and hashlib.sha256(image).hexdigest() != sha256:
            raise archive_invalid(f"picture {sha256[:64]} is not what it was")
    if sha256 and len(bytes.fromhex(sha256)) != 32:
        raise archive_invalid(f"item {number} has a sha256 that is none")
    return Candidate(number, check_item_id(item_id), check_metadata(metadata), vector, sha256, image)


def _check_header(file: IO[bytes], shape: tuple[int, int]) -> None:
    reader: Any = np.lib.format
    if reader.read_magic(file) != (1, 0):
        raise archive_invalid("its vectors have another version")
    if reader.read_array_header_1_0(file) != (shape, False, np.dtype("<f4")):
        raise archive_invalid("its vectors have another shape or type")


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise archive_invalid("it holds fewer vectors than items")
    return data
