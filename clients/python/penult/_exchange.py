"""A bidirectional stream of messages that are answered in order, with a bounded number under way."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

from penult._channel import Endpoint
from penult._duplex import AsyncDuplex, Duplex
from penult._status import translated


def exchange(
    method: Callable[..., Any], requests: Iterator[Any], endpoint: Endpoint, timeout: float | None
) -> Generator[Any, None, None]:
    """Sends requests as they come, and yields an answer for each. Raises PenultError.

    `timeout` bounds the wait for each answer.
    """
    with translated(endpoint.target), contextlib.closing(Duplex(method, endpoint, timeout)) as stream:
        for request in requests:
            stream.send(request, request.ByteSize())
            if stream.full:
                yield stream.answer()
        yield from stream.rest()


async def exchange_async(
    method: Callable[..., Any], requests: AsyncIterator[Any], endpoint: Endpoint, timeout: float | None
) -> AsyncGenerator[Any, None]:
    """The same for asyncio."""
    with translated(endpoint.target), contextlib.closing(AsyncDuplex(method, endpoint, timeout)) as stream:
        async for request in requests:
            stream.send(request, request.ByteSize())
            if stream.full:
                yield await stream.answer()
        async for answer in stream.rest():
            yield answer
