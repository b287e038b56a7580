"""The writes to an index, judged against its rows and made, within one transaction."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from penult_server.core.errors import PenultError
from penult_server.core.images import ItemError
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
from penult_server.core.quotas import Quotas
from penult_server.store import acknowledged, index_rows, item_rows
from penult_server.store.blobs import Blobs
from penult_server.store.index_tables import KEY_BITS, indexes
from penult_server.store.stored_bytes import check_stored

_REFUSED = {
    ItemFault.EXISTS: "the index holds another item with this id; mode upsert would replace it",
    ItemFault.CHANGED: "another call has changed this item meanwhile; send it again",
}


class IndexWrites:
    """Some writes to one index within one transaction."""

    def __init__(self, connection: sa.Connection, index_id: int, images: Blobs, quotas: Quotas) -> None:
        query = sa.select(indexes).where(indexes.c.id == index_id, ~indexes.c.removed)
        row = connection.execute(query).first()
        if row is None:
            raise index_rows.not_found("")
        self._connection = connection
        self._index_id = index_id
        self._sequence: int = row.sequence
        self._next_key: int = row.next_key
        self._count: int = row.item_count
        self._size_before: int = row.size_bytes
        self._size = self._size_before
        self._owner: str = row.owner
        self._maker = index_rows.maker_of(json.loads(row.maker_json))
        self._images = images
        self._quotas = quotas
        self.changes: list[VectorChange] = []
        self.dropped: set[str] = set()

    def do(self, write: Write) -> WriteAnswer:
        """Makes one; a refusal is its answer."""
        try:
            return self._add(write) if isinstance(write, AddItems) else self._remove(write)
        except PenultError as error:  # raised before anything was written but files
            if isinstance(write, AddItems):
                self.dropped |= {item.image_sha256 for item in write.candidates if item.image}
            return error

    def finish(self) -> None:
        """After the last one."""
        index_rows.update(
            self._connection,
            self._index_id,
            sequence=self._sequence,
            next_key=self._next_key,
            item_count=self._count,
            size_bytes=self._size,
        )

    def _add(self, write: AddItems) -> AddReceipt:
        name = adding(self._index_id, write.streamed)
        before = acknowledged.recall(self._connection, write.request_id, name, write.first_index)
        if before is not None:
            return receipt_of(before)
        found = item_rows.by_ids(self._connection, self._index_id, (item.id for item in write.candidates))
        vectors = self._vectors_to_compare(write.candidates, found)
        errors, unchanged, freed = list(write.errors), 0, 0
        dropped: set[str] = set()
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
                freed += self._bytes(old)
                if old.image_sha256 != candidate.image_sha256 and old.image_sha256:
                    dropped.add(old.image_sha256)
            else:
                fault = ItemFault.EXISTS
                errors.append(ItemError(candidate.index, candidate.id[:80], fault.value, _REFUSED[fault]))
        if new or replaced:
            more = sum(self._bytes(candidate) for _, candidate in (*new, *replaced)) - freed
            self._quotas.items(self._count, len(new))
            pending = self._size + more - self._size_before
            check_stored(self._connection, self._quotas, self._owner, pending)
            self._size += more
            self.dropped |= dropped
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
            self._size -= sum(map(self._bytes, found.values()))
            self.dropped |= {item.image_sha256 for item in found.values() if item.image_sha256}
            self.changes.append(VectorChange(self._sequence, np.asarray(keys, np.int64), None))
        receipt = RemoveReceipt(len(found), len(wanted) - len(found))
        acknowledged.remember(self._connection, write.request_id, name, dataclasses.asdict(receipt))
        return receipt

    def _bytes(self, item: Item | Candidate) -> int:
        """What it takes on disk. A picture counts with each item that has it."""
        kept = self._maker.keeps_images and item.image_sha256
        picture = self._images.size(item.image_sha256) if kept else 0
        return 4 * self._maker.spec.dim + len(item.metadata_json) + picture

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


def adding(index_id: int, streamed: bool) -> str:
    """What is acknowledged, for store.acknowledged."""
    return f"AddItemsStream {index_id}" if streamed else f"AddItems {index_id}"


def receipt_of(answer: Mapping[str, object]) -> AddReceipt:
    """As it was acknowledged."""
    errors = [ItemError(**error) for error in answer["errors"]]  # type: ignore[attr-defined]  # as it was stored
    return AddReceipt(**{**answer, "errors": errors})  # type: ignore[arg-type]  # as it was stored
