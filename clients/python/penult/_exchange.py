"""A bidirectional stream of messages that are answered in order, with a bounded number under way."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import grpc

from penult._batches import MAX_PENDING_BYTES, MAX_PENDING_CHUNKS
from penult._channel import Endpoint
from penult._status import translated
from penult._stream import ended_early, next_response, stalled
from penult._verdict import Verdict


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
    outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    seconds = timeout or endpoint.timeout
    with translated(endpoint.target):
        call = method(iter(outbox.get, None), metadata=endpoint.metadata)
        try:
            for request in requests:
                outbox.put(request)
                window.sent(request)
                if window.full:
                    response = next_response(call, seconds)
                    window.answered()
                    yield response
            outbox.put(None)
            while window:
                response = next_response(call, seconds)
                window.answered()
                yield response
        finally:
            outbox.put(None)  # the sender waits on the outbox even when the call has ended
            call.cancel()


async def exchange_async(
    method: Callable[..., Any], requests: AsyncIterator[Any], endpoint: Endpoint, timeout: float | None
) -> AsyncGenerator[Any, None]:
    """The same for asyncio."""
    window = _Window()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    seconds = timeout or endpoint.timeout

    async def sending() -> AsyncIterator[Any]:
        while (request := await outbox.get()) is not None:
            yield request

    with translated(endpoint.target):
        call = method(sending(), metadata=endpoint.metadata)
        verdict = Verdict(call)

        async def receive() -> Any:
            try:
                response = await asyncio.wait_for(call.read(), seconds)
            except asyncio.TimeoutError:
                raise stalled(seconds) from None
            except grpc.aio.AioRpcError as error:
                raise await verdict.on(error) from None
            if response is grpc.aio.EOF:
                raise ended_early()
            window.answered()
            return response

        try:
            async for request in requests:
                outbox.put_nowait(request)
                window.sent(request)
                if window.full:
                    yield await receive()
            outbox.put_nowait(None)
            while window:
                yield await receive()
        finally:
            outbox.put_nowait(None)
            call.cancel()
