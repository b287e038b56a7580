"""Items of indexes: rows in the database, pictures in files.

As with datasets, a file is durable before the row that names it, and outlives it; one lock orders all
that writes files or removes them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from penult_server.core.filters import Filter
from penult_server.core.index_kinds import KeySet
from penult_server.core.index_store_ports import Matching
from penult_server.core.indexes import (
    AddItems,
    AddReceipt,
    Item,
    VectorChange,
    Write,
    WriteAnswer,
)
from penult_server.core.quotas import NO_QUOTAS, Quotas
from penult_server.store import acknowledged, index_rows, item_rows
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.index_tables import index_items
from penult_server.store.index_writes import IndexWrites, adding, receipt_of

_ROWS = 4096
"""Vectors in one part of `changes`."""


class DatabaseItems:
    """Implements core.index_store_ports.ItemStore, which says what the methods do."""

    def __init__(self, database: Database, images: Blobs, quotas: Quotas = NO_QUOTAS) -> None:
        """Clears away pictures that no item has."""
        self._database = database
        self._images = images
        self._quotas = quotas
        self.files = threading.Lock()
        with database.read() as connection:
            images.sweep(lambda prefix: item_rows.with_prefix(connection, prefix))

    def write(
        self, index_id: int, writes: Sequence[Write]
    ) -> tuple[Sequence[WriteAnswer], Sequence[VectorChange]]:
        """See core.index_store_ports.ItemStore."""
        images = {
            item.image_sha256: item.image
            for write in writes
            if isinstance(write, AddItems)
            for item in write.candidates
            if item.image
        }
        with self.files:
            try:
                self._images.put(images)
                with self._database.write() as connection:
                    work = IndexWrites(connection, index_id, self._images, self._quotas)
                    answers = [work.do(write) for write in writes]
                    work.finish()
            except BaseException:
                self._discard_unused(images)
                raise
            self._discard_unused(work.dropped)
        return answers, work.changes

    def receipts(self, index_id: int, request_id: str, *, streamed: bool) -> Mapping[int, AddReceipt]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            answers = acknowledged.recall_all(connection, request_id, adding(index_id, streamed))
        return {position: receipt_of(answer) for position, answer in answers.items()}

    def by_keys(self, index_id: int, keys: Sequence[int]) -> Mapping[int, Item]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            return item_rows.by_keys(connection, keys)

    def by_ids(self, index_id: int, ids: Sequence[str]) -> Mapping[str, Item]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            return item_rows.by_ids(connection, index_id, ids)

    def vectors(self, keys: Sequence[int]) -> Mapping[int, np.ndarray]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            return item_rows.vectors(connection, keys)

    def page(self, index_id: int, wanted: Filter | None, after: int, limit: int) -> Sequence[Item]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            return item_rows.page(connection, index_id, wanted, after, limit)

    def matching(self, index_id: int, wanted: Filter, known: Matching | None) -> Matching:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            index = index_rows.get(connection, index_id)
            # Tombstones are kept only from the snapshot on.
            if known is None or known.sequence < index.snapshot_sequence:
                return Matching(
                    KeySet.of(item_rows.matching_keys(connection, index_id, wanted, 0)), index.sequence
                )
            if known.sequence == index.sequence:
                return known
            touched = item_rows.touched_keys(connection, index_id, known.sequence)
            new = item_rows.matching_keys(connection, index_id, wanted, known.sequence)
        kept = np.setdiff1d(known.keys.keys, touched)
        return Matching(KeySet.of(np.concatenate([kept, new])), index.sequence)

    def labels(self, index_id: int, field: str) -> Mapping[int, str]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            return item_rows.labels(connection, index_id, field)

    def image(self, sha256: str) -> bytes | None:
        """See core.index_store_ports.ItemStore."""
        return self._images.read(sha256) if sha256 and self._images.path(sha256).exists() else None

    def image_count(self, index_id: int) -> int:
        """See core.index_store_ports.ItemStore."""
        query = sa.select(sa.func.count(index_items.c.image_sha256.distinct()))
        with self._database.read() as connection:
            if not index_rows.get(connection, index_id).maker.keeps_images:
                return 0
            return int(connection.execute(query.where(item_rows.of_index(index_id))).scalar_one())

    def changes(self, index_id: int, after: int) -> Iterator[VectorChange]:
        """See core.index_store_ports.ItemStore."""
        with self._database.read() as connection:
            index = index_rows.get(connection, index_id)
            gone = item_rows.tombstones(connection, index_id, after, index.sequence) if after else []
        if index.sequence == after:
            return
        yield VectorChange(after, np.asarray(gone, np.int64), None)
        place = (after, (1 << 62))
        while True:
            with self._database.read() as connection:
                rows = item_rows.changed(connection, index_id, place, index.sequence, _ROWS)
            keys = np.asarray([key for _, key, _ in rows], np.int64)
            data = np.frombuffer(b"".join(vector for _, _, vector in rows), "<f4")
            last = len(rows) < _ROWS
            if not last:
                place = rows[-1][:2]
            yield VectorChange(
                index.sequence if last else after, keys, data.reshape(len(rows), index.spec.dim)
            )
            if last:
                return

    def _discard_unused(self, sha256s: Iterable[str]) -> None:
        wanted = set(sha256s)
        if wanted:
            with self._database.read() as connection:
                orphans = item_rows.unused(connection, wanted)
            self._images.discard(orphans)
