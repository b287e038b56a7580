"""Use case: add or replace items, by one call or by a stream of any length in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

import numpy as np

from penult_server.core.admission import Admission
from penult_server.core.errors import InvalidArgument
from penult_server.core.extract import ExtractFeatures
from penult_server.core.images import ItemError, SourceImage
from penult_server.core.indexes import AddReceipt, RemoveItems, RemoveReceipt
from penult_server.core.new_items import NewItems, Prepared, PrepareItems
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_queries import check_fingerprint, options_of

DEPTH = 8
"""Messages of one stream that wait for the disk at once; all that are ready share one transaction."""
MAX_REMOVED = 10_000


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """A message with the features of its images, or its receipt of an earlier time; `size` is its room."""

    size: int
    prepared: Prepared | None = None
    receipt: AddReceipt | None = None
    features: np.ndarray | None = None
    errors: Sequence[ItemError] = ()


class AddItemsToIndex:
    """See the module's first line."""

    def __init__(
        self, indexes: OpenIndexes, extract: ExtractFeatures, prepare: PrepareItems, room: Admission
    ) -> None:
        """`room` counts bytes of all calls together."""
        self._indexes = indexes
        self._extract = extract
        self._prepare = prepare
        self._room = room

    async def add(self, name: str, new: NewItems, request_id: str) -> AddReceipt:
        """Adds some items in one transaction.

        Raises:
            NotFound: there is no such index.
            InvalidArgument, FailedPrecondition: see PrepareItems.run.
            ResourceExhausted: the server or its disk is full; nothing was written.
        """
        index = self._indexes.find(name)
        if earlier := await _receipts(index, request_id, streamed=False):
            return earlier[0]
        self._room.enter(new.size)
        try:
            prepared = await self._prepare.run(index, new, 0)
            features, errors = np.empty((0, index.maker.spec.dim), np.float32), []
            if prepared.images:
                batch = await self._extract.extract(prepared.images, options_of(index.maker))
                check_fingerprint(index.maker, batch.fingerprint)
                features, errors = batch.features, batch.errors
            receipt = await index.write(prepared.finish(index, features, errors, request_id, streamed=False))
        finally:
            self._room.leave(new.size)
        assert isinstance(receipt, AddReceipt)
        return receipt

    async def remove(self, name: str, ids: Sequence[str], request_id: str) -> RemoveReceipt:
        """Removes items; a search that begins after this does not find them. Raises as `add` does."""
        if len(ids) > MAX_REMOVED:
            raise InvalidArgument(
                "TOO_MANY_ITEMS", f"{len(ids)} ids in one call; at most {MAX_REMOVED} are taken", field="ids"
            )
        receipt = await self._indexes.find(name).write(RemoveItems(ids, request_id))
        assert isinstance(receipt, RemoveReceipt)
        return receipt

    async def stream(
        self, name: str, request_id: str, messages: AsyncIterator[NewItems]
    ) -> AsyncGenerator[AddReceipt, None]:
        """A receipt for each message, in order, once its items are durable.

        A client that reads no receipts, or sends more than there is room for, is not read any further.
        Raises as `add` does; what was acknowledged stays.
        """
        async with contextlib.aclosing(
            self.stream_into(self._indexes.find(name), request_id, messages)
        ) as all_:
            async for receipt in all_:
                yield receipt

    async def stream_into(
        self, index: OpenIndex, request_id: str, messages: AsyncIterator[NewItems]
    ) -> AsyncGenerator[AddReceipt, None]:
        """The same for an index that may have no name yet."""
        known = await _receipts(index, request_id, streamed=True)
        queue: asyncio.Queue[tuple[asyncio.Task[AddReceipt], int] | None] = asyncio.Queue(DEPTH)
        worker = asyncio.create_task(self._work(index, known, request_id, messages, queue))
        try:
            while entry := await queue.get():
                receipt = await entry[0]
                yield receipt
            await worker  # raises what stopped the intake
        finally:
            worker.cancel()
            while not queue.empty():
                if entry := queue.get_nowait():
                    entry[0].cancel()

    async def _work(
        self,
        index: OpenIndex,
        known: Mapping[int, AddReceipt],
        request_id: str,
        messages: AsyncIterator[NewItems],
        queue: asyncio.Queue[tuple[asyncio.Task[AddReceipt], int] | None],
    ) -> None:
        try:
            async with contextlib.aclosing(self._ready(index, known, messages)) as ready:
                async for message in ready:
                    task = asyncio.create_task(self._write(index, message, request_id))
                    await queue.put((task, message.size))
        except asyncio.CancelledError:
            raise  # nobody waits for the end mark
        except BaseException:
            await queue.put(None)
            raise
        await queue.put(None)

    async def _write(self, index: OpenIndex, message: _Ready, request_id: str) -> AddReceipt:
        try:
            if message.receipt is not None:
                return message.receipt
            assert message.prepared is not None
            features = message.features
            if features is None:
                features = np.empty((0, index.maker.spec.dim), np.float32)
            write = message.prepared.finish(index, features, message.errors, request_id, streamed=True)
            receipt = await index.write(write)
            assert isinstance(receipt, AddReceipt)
            return receipt
        finally:
            self._room.leave(message.size)

    async def _ready(
        self, index: OpenIndex, known: Mapping[int, AddReceipt], messages: AsyncIterator[NewItems]
    ) -> AsyncGenerator[_Ready, None]:
        """Messages in order with their features; those of an index of vectors need none."""
        checked = self._checked(index, known, messages)
        if index.maker.options is None:
            async with contextlib.aclosing(checked):
                async for message in checked:
                    yield message
            return
        inside: deque[_Ready] = deque()

        async def images() -> AsyncIterator[Sequence[SourceImage]]:
            async for message in checked:
                inside.append(message)
                yield message.prepared.images if message.prepared else ()

        first = 0
        try:
            async with contextlib.aclosing(self._extract.stream(images(), index.maker.options)) as batches:
                async for batch in batches:
                    message = inside.popleft()
                    count = len(message.prepared.images) if message.prepared else 0
                    if count:
                        check_fingerprint(index.maker, batch.fingerprint)
                    errors = [dataclasses.replace(error, index=error.index - first) for error in batch.errors]
                    first += count
                    yield dataclasses.replace(
                        message, features=batch.features if count else None, errors=errors
                    )
        finally:
            for message in inside:
                self._room.leave(message.size)

    async def _checked(
        self, index: OpenIndex, known: Mapping[int, AddReceipt], messages: AsyncIterator[NewItems]
    ) -> AsyncGenerator[_Ready, None]:
        first_index = 0
        async for new in messages:
            count = len(new.items)
            receipt = known.get(first_index) if count else AddReceipt(first_index, 0, 0, 0, 0, [])
            if receipt is not None and receipt.count != count:
                raise InvalidArgument(
                    "REQUEST_ID_REUSED",
                    f"the message at {first_index} held {receipt.count} items before, now {count}",
                    field="request_id",
                    hint="repeat a stream with the same messages, or give it a new request_id",
                )
            await self._room.wait_and_enter(new.size)
            given = False
            try:
                prepared = None if receipt else await self._prepare.run(index, new, first_index)
                given = True
            finally:
                if not given:
                    self._room.leave(new.size)
            yield _Ready(new.size, prepared, receipt)
            first_index += count


async def _receipts(index: OpenIndex, request_id: str, *, streamed: bool) -> Mapping[int, AddReceipt]:
    if not request_id:
        return {}
    work = index.stores.items.receipts
    return await asyncio.to_thread(work, index.id, request_id, streamed=streamed)
