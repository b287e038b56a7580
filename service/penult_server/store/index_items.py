"""Items of indexes: rows in the database, pictures in files.

As with datasets, a file is durable before the row that names it, and outlives it; one lock orders all
that writes files or removes them.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from penult_server.core.errors import PenultError
from penult_server.core.filters import Filter
from penult_server.core.images import ItemError
from penult_server.core.index_kinds import KeySet
from penult_server.core.index_store_ports import Matching
from penult_server.core.indexes import (
    AddItems,
    AddMode,
    AddReceipt,
    Candidate,
    Item,
    ItemFault,
    RemoveItems,
    RemoveReceipt,
    VectorChange,
    Write,
    WriteAnswer,
)
from penult_server.store import acknowledged, index_rows, item_rows
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.index_tables import KEY_BITS, index_items, indexes

_ROWS = 4096
"""Vectors in one part of `changes`."""
_REFUSED = {
    ItemFault.EXISTS: "the index holds another item with this id; mode upsert would replace it",
    ItemFault.CHANGED: "another call has changed this item meanwhile; send it again",
}


class DatabaseItems:
    """Implements core.index_store_ports.ItemStore, which says what the methods do."""

    def __init__(self, database: Database, images: Blobs) -> None:
        """Clears away pictures that no item has."""
        self._database = database
        self._images = images
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
                    work = _Work(connection, index_id)
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
            answers = acknowledged.recall_all(connection, request_id, _adding(index_id, streamed))
        return {position: _receipt(answer) for position, answer in answers.items()}

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


class _Work:
    """Some writes to one index within one transaction."""

    def __init__(self, connection: sa.Connection, index_id: int) -> None:
        query = sa.select(indexes).where(indexes.c.id == index_id, ~indexes.c.removed)
        row = connection.execute(query).first()
        if row is None:
            raise index_rows.not_found("")
        self._connection = connection
        self._index_id = index_id
        self._sequence: int = row.sequence
        self._next_key: int = row.next_key
        self._count: int = row.item_count
        self.changes: list[VectorChange] = []
        self.dropped: set[str] = set()

    def do(self, write: Write) -> WriteAnswer:
        try:
            return self._add(write) if isinstance(write, AddItems) else self._remove(write)
        except PenultError as error:  # raised before anything was written
            return error

    def finish(self) -> None:
        index_rows.update(
            self._connection,
            self._index_id,
            sequence=self._sequence,
            next_key=self._next_key,
            item_count=self._count,
        )

    def _add(self, write: AddItems) -> AddReceipt:
        name = _adding(self._index_id, write.streamed)
        before = acknowledged.recall(self._connection, write.request_id, name, write.first_index)
        if before is not None:
            return _receipt(before)
        found = item_rows.by_ids(self._connection, self._index_id, (item.id for item in write.candidates))
        vectors = self._vectors_to_compare(write.candidates, found)
        errors, unchanged = list(write.errors), 0
        new: list[tuple[int, Candidate]] = []
        replaced: list[tuple[int, Candidate]] = []
        for candidate in write.candidates:
            old = found.get(candidate.id)
            if candidate.vector is None and not (old and _same(old, candidate, None)):
                fault = ItemFault.EXISTS if old and write.mode is AddMode.ADD else ItemFault.CHANGED
                errors.append(ItemError(candidate.index, candidate.id[:80], fault.value, _REFUSED[fault]))
            elif old is None:
                new.append(((self._index_id << KEY_BITS) + self._next_key, candidate))
                self._next_key += 1
            elif _same(old, candidate, vectors.get(old.key)):
                unchanged += 1
            elif write.mode is AddMode.UPSERT:
                replaced.append((old.key, candidate))
                if old.image_sha256 != candidate.image_sha256 and old.image_sha256:
                    self.dropped.add(old.image_sha256)
            else:
                fault = ItemFault.EXISTS
                errors.append(ItemError(candidate.index, candidate.id[:80], fault.value, _REFUSED[fault]))
        if new or replaced:
            self._sequence += 1
            item_rows.insert(self._connection, self._index_id, self._sequence, new)
            item_rows.replace(self._connection, self._sequence, replaced)
            self._count += len(new)
            both = [*new, *replaced]
            self.changes.append(
                VectorChange(
                    self._sequence,
                    np.asarray([key for key, _ in both], np.int64),
                    np.stack([candidate.vector for _, candidate in both if candidate.vector is not None]),
                )
            )
        errors.sort(key=lambda error: error.index)
        receipt = AddReceipt(write.first_index, write.count, len(new), len(replaced), unchanged, errors)
        answer = dataclasses.asdict(receipt)
        acknowledged.remember(self._connection, write.request_id, name, answer, write.first_index)
        return receipt

    def _remove(self, write: RemoveItems) -> RemoveReceipt:
        name = f"RemoveItems {self._index_id}"
        before = acknowledged.recall(self._connection, write.request_id, name)
        if before is not None:
            return RemoveReceipt(**before)
        wanted = list(dict.fromkeys(write.ids))
        found = item_rows.by_ids(self._connection, self._index_id, wanted)
        if found:
            self._sequence += 1
            keys = [item.key for item in found.values()]
            item_rows.delete(self._connection, self._index_id, self._sequence, keys)
            self._count -= len(keys)
            self.dropped |= {item.image_sha256 for item in found.values() if item.image_sha256}
            self.changes.append(VectorChange(self._sequence, np.asarray(keys, np.int64), None))
        receipt = RemoveReceipt(len(found), len(wanted) - len(found))
        acknowledged.remember(self._connection, write.request_id, name, dataclasses.asdict(receipt))
        return receipt

    def _vectors_to_compare(
        self, candidates: Sequence[Candidate], found: Mapping[str, Item]
    ) -> Mapping[int, np.ndarray]:
        keys = [
            found[item.id].key
            for item in candidates
            if item.id in found and not item.image_sha256 and not found[item.id].image_sha256
        ]
        return item_rows.vectors(self._connection, keys) if keys else {}


def _same(old: Item, new: Candidate, vector: np.ndarray | None) -> bool:
    """Whether nothing would change; the same picture has the same vector."""
    if (old.metadata_json, old.image_sha256) != (new.metadata_json, new.image_sha256):
        return False
    if vector is None or new.vector is None:
        return bool(new.image_sha256)
    return np.array_equal(vector, new.vector)


def _adding(index_id: int, streamed: bool) -> str:
    return f"AddItemsStream {index_id}" if streamed else f"AddItems {index_id}"


def _receipt(answer: Mapping[str, object]) -> AddReceipt:
    errors = [ItemError(**error) for error in answer["errors"]]  # type: ignore[attr-defined]  # as it was stored
    return AddReceipt(**{**answer, "errors": errors})  # type: ignore[arg-type]  # as it was stored
