"""All indexes at work: found by name, loaded at the start, and looked after in the background."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from penult_server.core.errors import NotFound, PenultError
from penult_server.core.indexes import Index, IndexMaker, IndexPhase
from penult_server.core.open_index import IndexStores, OpenIndex

LEAST_UNSAVED = 5000
"""Changed items that are worth a snapshot file, and at a drain a tenth of that; replaying fewer is quick."""
UNSAVED_SHARE = 0.25
"""Changed items that are worth a snapshot file of a large index, as a share of its items."""
_RETRY_SECONDS = 30.0

Report = Callable[[str, OpenIndex, BaseException | str], None]
"""Hears what was done, or went wrong, with an index in the background."""


class OpenIndexes:
    """See the module's first line. Belongs to the event loop."""

    def __init__(self, stores: IndexStores, report: Report) -> None:
        """`report(event, index, what)`."""
        self.stores = stores
        self._report = report
        self._by_id: dict[int, OpenIndex] = {}
        self._ids: dict[str, int] = {}
        self._tending: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._one_at_a_time = asyncio.Semaphore(1)
        self._sweeping: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Knows all indexes when it returns, and loads them one after the other in the background."""
        for index in await asyncio.to_thread(self.stores.indexes.all):
            self.admit(index)
        self.sweep()

    def find(self, name: str) -> OpenIndex:
        """By name or alias. Raises NotFound."""
        try:
            return self._by_id[self._ids[name]]
        except KeyError:
            raise NotFound(
                "INDEX_NOT_FOUND",
                f"there is no index {name[:80]!r}",
                hint="ListIndexes says which there are",
            ) from None

    def of(self, index: Index) -> OpenIndex:
        """The index of this row, which there must be."""
        return self._by_id[index.id]

    def all(self) -> Iterable[OpenIndex]:
        """Every one."""
        return list(self._by_id.values())

    def make(self, index: Index) -> OpenIndex:
        """An index at work that nobody finds by a name yet."""
        return OpenIndex(index, self.stores, self._changed)

    def admit(self, index: Index, made: OpenIndex | None = None) -> OpenIndex:
        """Makes it findable under its name and aliases; loads one that is not in memory."""
        opened = self._by_id.setdefault(index.id, made or self.make(index))
        opened.name = index.name
        self.rename(index)
        self._changed(opened)
        return opened

    @contextlib.asynccontextmanager
    async def building(self, maker: IndexMaker) -> AsyncIterator[OpenIndex]:
        """A new index to be filled and published inside the block; gone if the block raises."""
        index = await asyncio.to_thread(self.stores.indexes.begin, maker)
        opened = self.make(index)
        try:
            await asyncio.to_thread(opened.start_empty)
            yield opened
        except BaseException:
            await opened.close()
            await asyncio.to_thread(self.stores.indexes.abandon, index.id)
            self.sweep()
            raise

    async def publish(self, opened: OpenIndex, name: str, alias: str, request_id: str) -> Index:
        """Gives what was built its name, and the alias if any. Raises AlreadyExists."""
        work = self.stores.indexes.publish
        index = await asyncio.to_thread(work, opened.id, name, alias, request_id)
        self.admit(index, opened)
        return index

    def rename(self, index: Index) -> None:
        """It is found under its name and present aliases, and no other name."""
        self._ids = {name: found for name, found in self._ids.items() if found != index.id}
        self._ids |= dict.fromkeys((index.name, *index.aliases), index.id)

    def forget_alias(self, alias: str) -> None:
        """Nothing is found under it."""
        self._ids.pop(alias, None)

    def dismiss(self, index_id: int) -> None:
        """It was deleted; what it has left is swept away in the background."""
        self._by_id.pop(index_id, None)
        self._ids = {name: found for name, found in self._ids.items() if found != index_id}
        if task := self._tending.get(index_id):
            task.cancel()
        self.sweep()

    def sweep(self) -> None:
        """Starts to remove what deleted indexes have left."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep())

    async def optimize(
        self, opened: OpenIndex, report: Callable[[float, str], None], *, only_if_due: bool = False
    ) -> None:
        """Runs the engine's optimisation, one at a time over all indexes.

        Whoever waited for another one of this index does not do again what that has done.
        """
        waited = opened.optimizing
        async with self._one_at_a_time:
            if (only_if_due or waited) and not opened.vectors.due():
                state = opened.vectors.describe()
                if only_if_due or not (state.pending or state.tombstones):
                    return
            opened.optimizing = True
            try:
                await asyncio.to_thread(opened.vectors.optimize, self._abandonable(report))
            finally:
                opened.optimizing = False
        opened.reshaped = True
        self._changed(opened)

    async def close(self) -> None:
        """Finishes the writes, and saves what would be long to replay."""
        self._closing = True
        tasks = [*self._tending.values(), *([self._sweeping] if self._sweeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for opened in self.all():
            await opened.close()
            if opened.phase is IndexPhase.READY and _worth_saving(opened, patience=0.1):
                await self._try("index_saved", opened, opened.save())

    def _abandonable(self, report: Callable[[float, str], None]) -> Callable[[float, str], None]:
        def hear(share: float, words: str) -> None:
            if self._closing:
                raise InterruptedError("the server is shutting down")
            report(share, words)

        return hear

    def _changed(self, opened: OpenIndex) -> None:
        if self._closing or opened.id not in self._by_id:
            return
        if opened.id in self._tending:
            self._again.add(opened.id)
        elif self._needs(opened):
            task = asyncio.create_task(self._tend(opened))
            self._tending[opened.id] = task
            task.add_done_callback(lambda _: self._tended(opened))

    def _tended(self, opened: OpenIndex) -> None:
        del self._tending[opened.id]
        if opened.id in self._again:
            self._again.discard(opened.id)
            self._changed(opened)

    def _needs(self, opened: OpenIndex) -> bool:
        if opened.phase is IndexPhase.LOADING:
            return True
        return bool(opened.vectors.due()) or _worth_saving(opened)

    async def _tend(self, opened: OpenIndex) -> None:
        if opened.phase is IndexPhase.LOADING:
            async with self._one_at_a_time:
                await self._try("index_loaded", opened, opened.load())
        if opened.phase is IndexPhase.READY and (why := opened.vectors.due()):
            done = self.optimize(opened, lambda share, words: None, only_if_due=True)
            await self._try("index_optimized", opened, done, why)
        if opened.phase is IndexPhase.READY and _worth_saving(opened):
            await self._try("index_saved", opened, opened.save())

    async def _try(self, event: str, opened: OpenIndex, work: object, what: str = "") -> None:
        try:
            await work  # type: ignore[misc]  # a coroutine
            self._report(event, opened, what)
        except InterruptedError:
            return
        except Exception as error:
            if opened.id in self._by_id:  # else it was deleted meanwhile
                self._report(f"{event}_failed", opened, error)
                if not self._closing:
                    await asyncio.sleep(_RETRY_SECONDS)
                    self._again.add(opened.id)

    async def _sweep(self) -> None:
        with contextlib.suppress(PenultError):  # a full disk: the next start tries again
            while await asyncio.to_thread(self.stores.indexes.sweep):
                await asyncio.sleep(0)


def _worth_saving(opened: OpenIndex, patience: float = 1.0) -> bool:
    enough = max(LEAST_UNSAVED, UNSAVED_SHARE * opened.vectors.count)
    return opened.reshaped or opened.unsaved > patience * enough
