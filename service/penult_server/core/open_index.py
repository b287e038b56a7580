"""One index at work: its one writer, what memory holds of it, and how it comes into memory.

The rows are the truth. A group of writes is committed first and then given to the index in memory, in
the order of its numbers; a writer waits for both. While an index is loading, writes are committed all the
same, and the loading catches up with them.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from penult_server.core.errors import DataLoss, NotFound, PenultError, Unavailable
from penult_server.core.index_ports import IndexEngine, VectorIndex
from penult_server.core.index_store_ports import IndexStore, ItemStore
from penult_server.core.indexes import (
    AddItems,
    Index,
    IndexMaker,
    IndexPhase,
    VectorChange,
    Write,
    WriteAnswer,
    WriteReceipt,
)
from penult_server.core.item_lookup import ItemLookup
from penult_server.core.latency import Latency
from penult_server.core.wall_clock import wall_time

MAX_GROUP = 4096
"""Most items whose writes share one transaction; the next group is as large as the disk is slow."""
LOAD_RETRY_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class IndexStores:
    """What every open index works with."""

    indexes: IndexStore
    items: ItemStore
    engine: IndexEngine


@dataclasses.dataclass(slots=True)
class Loading:
    """How an index came, or comes, into memory."""

    progress: float = 0.0
    seconds: float = 0.0
    source: str = ""


class OpenIndex:
    """See the module's first lines. Belongs to the event loop."""

    def __init__(self, index: Index, stores: IndexStores, changed: Callable[[OpenIndex], None]) -> None:
        """`changed` hears of it after every group of writes; it must return at once."""
        self.id = index.id
        self.name = index.name
        self.maker: IndexMaker = index.maker
        self.stores = stores
        self.lookup = ItemLookup(stores.items, index.id)
        self.loading = Loading()
        self.unsaved = 0
        """Items changed since the snapshot file."""
        self.saved_at = wall_time()
        """When the snapshot file was written; where there is none, when the index was opened."""
        self.reshaped = False
        """It has been optimised since the snapshot file."""
        self.latency = Latency()
        self.optimizing = False
        self.lock = asyncio.Lock()
        """Held while a group is committed and applied."""
        self._changed = changed
        self._vectors: VectorIndex | None = None
        self._waiting: collections.deque[tuple[Write, asyncio.Future[WriteReceipt]]] = collections.deque()
        self._writer: asyncio.Task[None] | None = None

    @property
    def phase(self) -> IndexPhase:
        """Whether it can be searched."""
        return IndexPhase.LOADING if self._vectors is None else IndexPhase.READY

    @property
    def vectors(self) -> VectorIndex:
        """The index in memory. Raises Unavailable while it is loading."""
        if self._vectors is None:
            raise Unavailable(
                "INDEX_LOADING",
                f"index {self.name!r} is being loaded, {100 * self.loading.progress:.0f} % done",
                retry_after=LOAD_RETRY_SECONDS,
                hint="retry after the stated delay; GetIndex shows the progress",
            )
        return self._vectors

    def start_empty(self) -> None:
        """For an index that was just made. Blocking."""
        self._vectors = self.stores.engine.create(self.maker.spec)
        self.loading = Loading(1.0, 0.0, "created")

    async def write(self, write: Write) -> WriteReceipt:
        """Makes a write together with all that wait; durable and searchable when this returns.

        Raises:
            NotFound: the index was deleted.
            InvalidArgument: the request_id was used for another write.
            ResourceExhausted: the disk is full; nothing was written.
            Unavailable: the database cannot be reached; whether it was written nobody knows.
        """
        answer: asyncio.Future[WriteReceipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await answer

    async def load(self) -> None:
        """Brings it into memory: the snapshot file and the writes after it, or else all rows."""
        started = time.monotonic()
        self._vectors = None
        self.loading = Loading()
        index = await asyncio.to_thread(self.stores.indexes.by_id, self.id)
        try:
            vectors, source = await asyncio.to_thread(self._read_snapshot, index)
            await asyncio.to_thread(self._replay, vectors, index.item_count)
            async with self.lock:
                await asyncio.to_thread(self._replay, vectors, index.item_count)
                index = await asyncio.to_thread(self.stores.indexes.by_id, self.id)
                if vectors.count != index.item_count:
                    raise DataLoss(
                        "INDEX_SNAPSHOT_DAMAGED",
                        f"it holds {vectors.count} vectors and the rows {index.item_count}",
                    )
                self._finish(vectors, started, source)
        except (DataLoss, NotFound) as why:
            await asyncio.to_thread(
                self.stores.indexes.by_id, self.id
            )  # raises NotFound where it was deleted
            await self._rebuild(started, why.message)

    async def save(self) -> None:
        """Writes the snapshot file, while reads and writes go on."""
        vectors, unsaved, self.reshaped = self.vectors, self.unsaved, False
        saved_at = wall_time()
        await asyncio.to_thread(self._save, vectors)
        self.unsaved -= unsaved
        self.saved_at = saved_at

    async def close(self) -> None:
        """Waits until what was asked for is written."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _rebuild(self, started: float, why: str) -> None:
        vectors = await asyncio.to_thread(self.stores.engine.create, self.maker.spec)
        index = await asyncio.to_thread(self.stores.indexes.by_id, self.id)
        await asyncio.to_thread(self._replay, vectors, index.item_count)
        async with self.lock:
            await asyncio.to_thread(self._replay, vectors, index.item_count)
            self.unsaved = vectors.count
            self._finish(vectors, started, f"rebuilt: {why}")

    def _finish(self, vectors: VectorIndex, started: float, source: str) -> None:
        self._vectors = vectors
        self.loading = Loading(1.0, time.monotonic() - started, source)
        self._changed(self)

    def _read_snapshot(self, index: Index) -> tuple[VectorIndex, str]:
        sequence = index.snapshot_sequence
        if not sequence:
            if index.item_count:
                raise NotFound("INDEX_SNAPSHOT_MISSING", "there is no snapshot file yet")
            return self.stores.engine.create(self.maker.spec), "created"
        path = self.stores.indexes.snapshot_path(self.id, sequence)
        vectors = self.stores.engine.load(self.maker.spec, path)
        if vectors.sequence != sequence:
            raise DataLoss(
                "INDEX_SNAPSHOT_DAMAGED",
                f"the snapshot file holds write {vectors.sequence}, and write {sequence} was saved",
            )
        self.saved_at = path.stat().st_mtime
        return vectors, "snapshot"

    def _replay(self, vectors: VectorIndex, expected: int) -> None:
        """Gives it the writes that it lacks; `expected` items are all that there is."""
        seen = vectors.count
        for change in self.stores.items.changes(self.id, vectors.sequence):
            _apply(vectors, change)
            seen += len(change.keys)
            self.unsaved += len(change.keys)
            self.loading.progress = min(1.0, seen / max(1, expected))

    def _save(self, vectors: VectorIndex) -> None:
        path: Path = self.stores.indexes.snapshot_path(self.id, 0).with_suffix(".partial")
        facts = vectors.snapshot(path)
        path.rename(self.stores.indexes.snapshot_path(self.id, facts.sequence))
        self.stores.indexes.record_snapshot(self.id, facts)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                async with self.lock:
                    group = self._next_group()
                    if group:
                        await self._write_group(group)
        finally:
            self._writer = None

    def _next_group(self) -> list[tuple[Write, asyncio.Future[WriteReceipt]]]:
        group: list[tuple[Write, asyncio.Future[WriteReceipt]]] = []
        size = 0
        while self._waiting and (not group or size + _size(self._waiting[0][0]) <= MAX_GROUP):
            write, answer = self._waiting.popleft()
            if not answer.done():  # else its caller has left
                group.append((write, answer))
                size += _size(write)
        return group

    async def _write_group(self, group: Sequence[tuple[Write, asyncio.Future[WriteReceipt]]]) -> None:
        try:
            work = functools.partial(self._commit, [write for write, _ in group])
            answers, changes, applied = await asyncio.to_thread(work)
        except BaseException as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            if isinstance(error, Unavailable):
                self._vectors = None  # nobody knows whether it was committed: it is loaded anew
                self._changed(self)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(group, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, PenultError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        if not applied:
            self._vectors = None  # durable, but memory does not hold it: it is loaded anew
        if changes or not applied:
            self.unsaved += sum(len(change.keys) for change in changes)
            self._changed(self)

    def _commit(self, writes: Sequence[Write]) -> tuple[Sequence[WriteAnswer], Sequence[VectorChange], bool]:
        answers, changes = self.stores.items.write(self.id, writes)
        vectors = self._vectors
        # What is looked up is forgotten before memory changes: whoever finds a new vector finds its new row.
        self.lookup.forget(key for change in changes for key in change.keys.tolist())
        if vectors is not None:
            try:
                for change in _joined(changes):
                    _apply(vectors, change)
            except (PenultError, MemoryError, RuntimeError):
                return answers, changes, False
        return answers, changes, True


def _apply(vectors: VectorIndex, change: VectorChange) -> None:
    if change.vectors is None:
        vectors.remove(change.keys, sequence=change.sequence)
    else:
        vectors.add(change.keys, change.vectors, sequence=change.sequence)


def _joined(changes: Sequence[VectorChange]) -> list[VectorChange]:
    """The same with additions in a row as one: an index takes many at once far better than few at a time."""
    found: list[VectorChange] = []
    for change in changes:
        last = found[-1] if found else None
        if last is None or last.vectors is None or change.vectors is None:
            found.append(change)
            continue
        kept = ~np.isin(last.keys, change.keys)
        found[-1] = VectorChange(
            change.sequence,
            np.concatenate([last.keys[kept], change.keys]),
            np.concatenate([last.vectors[kept], change.vectors]),
        )
    return found


def _size(write: Write) -> int:
    return len(write.candidates) if isinstance(write, AddItems) else len(write.ids)
