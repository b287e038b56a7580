"""An index as one ZIP file without compression, which other programs can read as well.

`index.json` says what it is, `items.jsonl` has a line for each item, `vectors.npy` a row (N, dim) for each
line, `images/ab/cdef…` the pictures by sha256, and `SHA256SUMS` the checksums of the others. It is
written to disk before it is sent, so that a slow reader holds back nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from penult_server.core.disk_faults import disk_faults
from penult_server.core.indexes import Index
from penult_server.store import index_rows, item_rows
from penult_server.store.blobs import SPARE_BYTES, Blobs
from penult_server.store.database import Database
from penult_server.store.disk import check_room
from penult_server.store.index_items import DatabaseItems
from penult_server.store.received_index import ReceivedArchive
from penult_server.store.zip_files import PackedZip, ZipMembers

FORMAT = 1
_ROWS = 2000


class ZipArchives:
    """Implements core.archive_index.IndexArchives."""

    def __init__(self, database: Database, items: DatabaseItems, images: Blobs, directory: Path) -> None:
        """Clears `directory`, which must be on the file system of the images."""
        self._database = database
        self._items = items
        self._images = images
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def pack(self, index_id: int, *, with_images: bool) -> PackedZip:
        """See core.archive_index.IndexArchives."""
        with disk_faults():
            workspace = Path(tempfile.mkdtemp(dir=self._directory))
        try:
            with disk_faults(), self._database.read() as connection:
                index = index_rows.get(connection, index_id)
                check_room(self._directory, _size(index) + SPARE_BYTES)
                pictures = self._hold_pictures(connection, index, workspace) if with_images else []
                path = workspace / "archive"
                with zipfile.ZipFile(path, "w") as archive:
                    _Packing(archive, connection, index, kept=with_images).run()
                    for sha256 in pictures:
                        archive.write(workspace / sha256, f"images/{sha256[:2]}/{sha256[2:]}")
            return PackedZip(path)
        except BaseException:
            shutil.rmtree(workspace, ignore_errors=True)
            raise

    def begin(self, size_bytes: int) -> ReceivedArchive:
        """See core.archive_index.IndexArchives."""
        check_room(self._directory, size_bytes + SPARE_BYTES)
        with disk_faults():
            return ReceivedArchive(Path(tempfile.mkdtemp(dir=self._directory)))

    def _hold_pictures(self, connection: sa.Connection, index: Index, workspace: Path) -> list[str]:
        """Second names of the pictures' files, so that none is lost while the archive is written."""
        if not index.maker.keeps_images:
            return []
        with self._items.files:
            pictures = sorted(item_rows.pictures(connection, index.id))
            for sha256 in pictures:
                if self._images.path(sha256).exists():
                    os.link(self._images.path(sha256), workspace / sha256)
        return [sha256 for sha256 in pictures if (workspace / sha256).exists()]


def _size(index: Index) -> int:
    """About so many bytes of rows."""
    return index.item_count * (4 * index.spec.dim + 200)


class _Packing:
    """The members that are made of rows."""

    def __init__(
        self, archive: zipfile.ZipFile, connection: sa.Connection, index: Index, *, kept: bool
    ) -> None:
        self._members = ZipMembers(archive)
        self._connection = connection
        self._index = index
        self._kept = kept

    def run(self) -> None:
        maker = self._index.maker
        facts = {
            "format": FORMAT,
            "items": self._index.item_count,
            "maker": dataclasses.asdict(
                dataclasses.replace(maker, keeps_images=maker.keeps_images and self._kept)
            ),
        }
        with self._members.member("index.json") as write:
            write(json.dumps(facts, indent=1).encode())
        with self._members.member("items.jsonl") as write:
            for items in self._pages():
                lines = [
                    json.dumps([item.id, item.metadata_json, item.image_sha256], ensure_ascii=False) + "\n"
                    for item in items
                ]
                write("".join(lines).encode())
        with self._members.member("vectors.npy") as write:
            header = {
                "descr": "<f4",
                "fortran_order": False,
                "shape": (self._index.item_count, maker.spec.dim),
            }
            np.lib.format.write_array_header_1_0(_Writer(write), header)
            for items in self._pages():
                rows = item_rows.vectors(self._connection, [item.key for item in items])
                write(b"".join(rows[item.key].tobytes() for item in items))
        self._members.finish()

    def _pages(self) -> Iterator[list[Any]]:
        after = 0
        while items := item_rows.page(self._connection, self._index.id, None, after, _ROWS):
            yield items
            after = items[-1].key


@dataclasses.dataclass
class _Writer:
    """What NumPy takes for a file."""

    write: Any
