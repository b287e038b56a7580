"""The contracts between indexes in core and what keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from penult_server.core.filters import Filter
from penult_server.core.index_kinds import KeySet, SnapshotFacts
from penult_server.core.indexes import AddReceipt, Index, IndexMaker, Item, VectorChange, Write, WriteAnswer


@dataclasses.dataclass(frozen=True, slots=True)
class Matching:
    """Keys of the items that match a filter, after the write with this number."""

    keys: KeySet
    sequence: int


class IndexStore(Protocol):
    """Keeps what indexes there are. Blocking; called off the event loop. What returns is durable.

    Every method with a `name` takes an alias as well, and raises NotFound where there is neither. A repeated
    `request_id` gets the first answer again; "" stands for none. All writes raise ResourceExhausted on a
    full disk.
    """

    def create(self, name: str, maker: IndexMaker, request_id: str) -> Index:
        """A new empty index. Raises AlreadyExists."""
        ...

    def check_free(self, name: str) -> None:
        """Raises AlreadyExists where an index or an alias has this name."""
        ...

    def begin(self, maker: IndexMaker) -> Index:
        """A new index without a name, which nobody sees before `publish`; swept away if that never comes."""
        ...

    def publish(self, index_id: int, name: str, alias: str, request_id: str) -> Index:
        """Gives it its name, and points the alias there unless that is "". Raises AlreadyExists."""
        ...

    def abandon(self, index_id: int) -> None:
        """Forgets an index that `begin` made, and its items; does nothing to one that has a name."""
        ...

    def repeated(self, name: str, request_id: str) -> Index | None:
        """The index that this request_id published under this name, if it did."""
        ...

    def get(self, name: str) -> Index:
        """One index."""
        ...

    def by_id(self, index_id: int) -> Index:
        """One index, with or without a name. Raises NotFound where it was deleted."""
        ...

    def list(self, after: str, limit: int) -> Sequence[Index]:
        """Indexes by name, from the one after `after`."""
        ...

    def all(self) -> Sequence[Index]:
        """Every index with a name."""
        ...

    def delete(self, name: str, request_id: str) -> tuple[int, int]:
        """Removes an index; its id (0 for a repeat) and how many items it had.

        Raises FailedPrecondition while an alias points to it, InvalidArgument for an alias.
        """
        ...

    def sweep(self) -> bool:
        """Removes some of what deleted indexes have left; False when there is nothing left."""
        ...

    def set_alias(self, alias: str, name: str, request_id: str) -> Index:
        """Points an alias to an index. Raises AlreadyExists where an index has that name."""
        ...

    def delete_alias(self, alias: str, request_id: str) -> None:
        """Forgets an alias. Raises NotFound."""
        ...

    def is_alias(self, name: str) -> bool:
        """Whether this is an alias."""
        ...

    def snapshot_path(self, index_id: int, sequence: int) -> Path:
        """Where the snapshot file of this sequence number is, or is to be."""
        ...

    def record_snapshot(self, index_id: int, facts: SnapshotFacts) -> None:
        """Makes a file that was written the one to load, and forgets what only older ones needed."""
        ...


class ItemStore(Protocol):
    """Keeps the items of indexes: the truth that files in memory are made from. Blocking, as IndexStore.

    Methods with an `index_id` raise NotFound where that index was deleted.
    """

    def write(
        self, index_id: int, writes: Sequence[Write]
    ) -> tuple[Sequence[WriteAnswer], Sequence[VectorChange]]:
        """Makes some writes in one transaction; their receipts, and what they did in the order of doing."""
        ...

    def receipts(self, index_id: int, request_id: str, *, streamed: bool) -> Mapping[int, AddReceipt]:
        """What was acknowledged of this call already, by first_index. Raises InvalidArgument."""
        ...

    def by_keys(self, index_id: int, keys: Sequence[int]) -> Mapping[int, Item]:
        """Those of the items that there are."""
        ...

    def by_ids(self, index_id: int, ids: Sequence[str]) -> Mapping[str, Item]:
        """Those of the items that there are."""
        ...

    def vectors(self, keys: Sequence[int]) -> Mapping[int, np.ndarray]:
        """Vectors as they were added, float32 (dim,)."""
        ...

    def page(self, index_id: int, wanted: Filter | None, after: int, limit: int) -> Sequence[Item]:
        """Items that match by rising key, from the one after `after`."""
        ...

    def matching(self, index_id: int, wanted: Filter, known: Matching | None) -> Matching:
        """The items that match now; `known`, an earlier answer to the same, makes it quick."""
        ...

    def labels(self, index_id: int, field: str) -> Mapping[int, str]:
        """Labels by key, of the items whose metadata has text under this name."""
        ...

    def image(self, sha256: str) -> bytes | None:
        """A kept picture, None where it is not kept. Raises DataLoss where it is damaged."""
        ...

    def image_count(self, index_id: int) -> int:
        """Different pictures of its items that are kept."""
        ...

    def changes(self, index_id: int, after: int) -> Iterator[VectorChange]:
        """What the writes after that number did, as it is now, in the order of their numbers, some at a time.

        After 0 it is all that there is. Each part is a short transaction of its own.
        """
        ...
