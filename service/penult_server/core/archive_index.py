"""Use cases: an index as one file while it serves, and a new index out of such a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Protocol

from penult_server.core.archives import FileFacts, PackedFile, ReceivedFile, receive, sent
from penult_server.core.errors import InvalidArgument
from penult_server.core.indexes import AddItems, AddMode, AddReceipt, Candidate, IndexMaker
from penult_server.core.manage_indexes import IndexDescription, ManageIndexes
from penult_server.core.names import check_name
from penult_server.core.open_indexes import OpenIndexes


class ReceivedIndex(ReceivedFile, Protocol):
    """An archive that is being received. Blocking."""

    def maker(self) -> IndexMaker:
        """What index it holds. Raises InvalidArgument ARCHIVE_INVALID for what is no whole archive."""
        ...

    def batches(self) -> Iterator[Sequence[Candidate]]:
        """Its items, some at a time, checked. Raises as `maker` does."""
        ...


class IndexArchives(Protocol):
    """Indexes as files. Blocking."""

    def pack(self, index_id: int, *, with_images: bool) -> PackedFile:
        """All of one moment. Raises NotFound, ResourceExhausted where the disk is full."""
        ...

    def begin(self, size_bytes: int) -> ReceivedIndex:
        """A place for one archive of this size. Raises ResourceExhausted where the disk is full."""
        ...


class ArchiveIndex:
    """See the module's first line."""

    def __init__(self, indexes: OpenIndexes, manage: ManageIndexes, archives: IndexArchives) -> None:
        """`archives` writes and reads the files."""
        self._indexes = indexes
        self._manage = manage
        self._archives = archives

    async def snapshot(self, name: str, *, with_images: bool) -> AsyncGenerator[FileFacts | bytes, None]:
        """The facts of the file, then its bytes. Raises NotFound, ResourceExhausted."""
        index = self._indexes.find(name)
        async for part in sent(lambda: self._archives.pack(index.id, with_images=with_images)):
            yield part

    async def restore(
        self, name: str, facts: FileFacts, request_id: str, chunks: AsyncIterator[bytes]
    ) -> IndexDescription:
        """A new index of a file; it appears whole or not at all.

        Raises:
            InvalidArgument: a bad name, or a file that is no archive.
            AlreadyExists: the name is taken.
            DataLoss: the bytes are not those that were announced.
            ResourceExhausted: the disk is full.
        """
        check_name(name, "header.name")
        indexes = self._indexes.stores.indexes
        done = await asyncio.to_thread(indexes.repeated, name, request_id) if request_id else None
        if done is not None:
            return await self._manage.get(name)
        await asyncio.to_thread(indexes.check_free, name)  # before the bytes are sent
        received = await asyncio.to_thread(self._archives.begin, facts.size_bytes)
        try:
            await receive(received, facts, chunks)
            maker = await asyncio.to_thread(received.maker)
            await asyncio.to_thread(self._indexes.stores.engine.validate, maker.spec)
            async with self._indexes.building(maker) as opened:
                batches = received.batches()
                while (items := await asyncio.to_thread(next, batches, None)) is not None:
                    receipt = await opened.write(AddItems(0, len(items), items, [], AddMode.ADD))
                    if receipt != AddReceipt(0, len(items), len(items), 0, 0, []):
                        raise archive_invalid("two of its items have one id")
                await self._indexes.publish(opened, name, "", request_id)
        finally:
            await asyncio.to_thread(received.discard)
        return await self._manage.get(name)


def archive_invalid(why: str) -> InvalidArgument:
    """The error for a file that is no archive, or not a whole one."""
    return InvalidArgument(
        "ARCHIVE_INVALID",
        f"the file is no snapshot of an index: {why}",
        hint="SnapshotIndex makes them; this one may be damaged",
    )
