"""One stream for several readers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
_AHEAD = 4


class _End:
    """The last thing that a reader gets: the source has ended, or raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextlib.asynccontextmanager
async def fork(source: AsyncIterator[T], readers: int) -> AsyncIterator[Sequence[AsyncIterator[T]]]:
    """The same items for each reader, in order; what the source raises, each of them raises.

    Reads ahead of the slowest reader by a few items and no more, so all of them must be read. The reading
    ends with the block. A single reader gets the source itself.
    """
    if readers == 1:
        yield [source]
        return
    queues: list[asyncio.Queue[Any]] = [asyncio.Queue(_AHEAD) for _ in range(readers)]

    async def read() -> None:
        error: BaseException | None = None
        try:
            async for item in source:
                for queue in queues:
                    await queue.put(item)
        except Exception as raised:  # the readers' to raise
            error = raised
        for queue in queues:
            await queue.put(_End(error))

    async def items(queue: asyncio.Queue[Any]) -> AsyncIterator[T]:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    reading = asyncio.create_task(read())
    try:
        yield [items(queue) for queue in queues]
    finally:
        reading.cancel()
