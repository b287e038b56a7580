from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penult_server.core.fork import fork


class Source:
    """Counts what was read of it."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.read = 0
        self._count = count
        self._error = error

    async def items(self) -> AsyncIterator[int]:
        for number in range(self._count):
            self.read += 1
            yield number
        if self._error:
            raise self._error


async def test_every_reader_gets_everything_in_order() -> None:
    async with fork(Source(100).items(), 3) as readers:

        async def all_of(reader: AsyncIterator[int]) -> list[int]:
            return [number async for number in reader]

        assert await asyncio.gather(*map(all_of, readers)) == [list(range(100))] * 3


async def test_it_reads_ahead_of_the_slowest_by_a_few() -> None:
    source = Source(100)
    async with fork(source.items(), 2) as (first, second):
        for number in range(4):
            assert await anext(first) == number
        await asyncio.sleep(0.01)
        assert source.read <= 4 + 2
        assert await anext(second) == 0


async def test_what_the_source_raises_each_reader_raises() -> None:
    async with fork(Source(2, KeyError("x")).items(), 2) as readers:
        for reader in readers:
            seen = []
            with pytest.raises(KeyError):
                seen = [number async for number in reader]
            assert seen == []


async def test_one_reader_gets_the_source_itself() -> None:
    items = Source(3).items()
    async with fork(items, 1) as readers:
        assert readers == [items]
