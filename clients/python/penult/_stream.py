"""Features or predictions of a collection by one stream, with a bounded number of images under way.

The caller's thread reads a chunk, hands it to gRPC's sender, and once that is full waits for
the oldest answer. So images are read in the caller's own thread, an exception of its iterable goes
straight to it, and neither side ever holds more than the window.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, Protocol, TypeVar

from penult._batches import Pending
from penult._channel import Endpoint
from penult._chunks import Chunk
from penult._duplex import AsyncDuplex, Duplex
from penult._status import translated

B = TypeVar("B")


class Request(Protocol):
    """Makes the message for a chunk; the first one of a stream carries the options."""

    def __call__(self, chunk: Chunk, *, first: bool) -> Any:
        """The message."""
        ...


def stream_batches(
    method: Callable[..., Any],
    source: Iterator[Chunk],
    request: Request,
    pending: Pending[B],
    endpoint: Endpoint,
    timeout: float | None,
) -> Iterator[B]:
    """Yields a batch for each chunk, in order. Raises PenultError.

    `timeout` bounds the wait for each answer: a collection may take hours, a healthy server never
    lets a chunk wait for long.
    """
    with translated(endpoint.target), contextlib.closing(Duplex(method, endpoint, timeout)) as stream:
        for position, chunk in enumerate(source):
            stream.send(request(chunk, first=position == 0), chunk.size)
            pending.push(chunk)
            if stream.full:
                yield pending.answer(stream.answer())
        for answer in stream.rest():
            yield pending.answer(answer)


async def stream_batches_async(
    method: Callable[..., Any],
    source: AsyncIterator[Chunk],
    request: Request,
    pending: Pending[B],
    endpoint: Endpoint,
    timeout: float | None,
) -> AsyncGenerator[B, None]:
    """The same for asyncio."""
    with translated(endpoint.target), contextlib.closing(AsyncDuplex(method, endpoint, timeout)) as stream:
        first = True
        async for chunk in source:
            stream.send(request(chunk, first=first), chunk.size)
            first = False
            pending.push(chunk)
            if stream.full:
                yield pending.answer(await stream.answer())
        async for answer in stream.rest():
            yield pending.answer(answer)
