"""A bidirectional stream of messages that are answered in order, with a bounded number under way."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

from penult._batches import MAX_PENDING_BYTES, MAX_PENDING_CHUNKS
from penult._channel import Endpoint
from penult._duplex import AsyncDuplex, Duplex
from penult._status import translated


class _Window:
    """Sizes of the messages under way."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque()
        self._total = 0

    def __bool__(self) -> bool:
        return bool(self._sizes)

    @property
    def full(self) -> bool:
        return len(self._sizes) >= MAX_PENDING_CHUNKS or self._total >= MAX_PENDING_BYTES

    def sent(self, request: Any) -> None:
        self._sizes.append(request.ByteSize())
        self._total += self._sizes[-1]

    def answered(self) -> None:
        self._total -= self._sizes.popleft()


def exchange(
    method: Callable[..., Any], requests: Iterator[Any], endpoint: Endpoint, timeout: float | None
) -> Generator[Any, None, None]:
    """Sends requests as they come, and yields an answer for each. Raises PenultError.

    `timeout` bounds the wait for each answer.
    """
    window = _Window()
    with translated(endpoint.target), contextlib.closing(Duplex(method, endpoint, timeout)) as stream:
        for request in requests:
            stream.send(request)
            window.sent(request)
            if window.full:
                response = stream.answer()
                window.answered()
                yield response
        stream.end()
        while window:
            response = stream.answer()
            window.answered()
            yield response


async def exchange_async(
    method: Callable[..., Any], requests: AsyncIterator[Any], endpoint: Endpoint, timeout: float | None
) -> AsyncGenerator[Any, None]:
    """The same for asyncio."""
    window = _Window()
    with translated(endpoint.target), contextlib.closing(AsyncDuplex(method, endpoint, timeout)) as stream:
        async for request in requests:
            stream.send(request)
            window.sent(request)
            if window.full:
                response = await stream.answer()
                window.answered()
                yield response
        stream.end()
        while window:
            response = await stream.answer()
            window.answered()
            yield response
