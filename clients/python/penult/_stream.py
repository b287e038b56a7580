"""Features or predictions of a collection by one stream, with a bounded number of images under way.

The caller's thread reads a chunk, hands it to gRPC's sender, and once `Pending` is full waits for
the oldest answer. So images are read in the caller's own thread, an exception of its iterable goes
straight to it, and neither side ever holds more than the window.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any, Protocol, TypeVar

import grpc

from penult._batches import Pending
from penult._channel import Endpoint
from penult._chunks import Chunk
from penult._status import translated
from penult._verdict import Verdict
from penult.errors import DeadlineExceeded, Internal

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
    outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with translated(endpoint.target):
        call = method(iter(outbox.get, None), metadata=endpoint.metadata)

        def answer() -> B:
            return pending.answer(next_response(call, timeout or endpoint.timeout))

        try:
            for position, chunk in enumerate(source):
                outbox.put(request(chunk, first=position == 0))
                pending.push(chunk)
                if pending.full:
                    yield answer()
            outbox.put(None)
            while pending:
                yield answer()
        finally:
            outbox.put(None)  # the sender waits on the outbox even when the call has ended
            call.cancel()


async def stream_batches_async(
    method: Callable[..., Any],
    source: AsyncIterator[Chunk],
    request: Request,
    pending: Pending[B],
    endpoint: Endpoint,
    timeout: float | None,
) -> AsyncGenerator[B, None]:
    """The same for asyncio."""
    outbox: asyncio.Queue[Any] = asyncio.Queue()

    async def requests() -> AsyncIterator[Any]:
        while (message := await outbox.get()) is not None:
            yield message

    with translated(endpoint.target):
        call = method(requests(), metadata=endpoint.metadata)
        verdict = Verdict(call)

        async def answer() -> B:
            seconds = timeout or endpoint.timeout
            try:
                response = await asyncio.wait_for(call.read(), seconds)
            except asyncio.TimeoutError:
                raise stalled(seconds) from None
            except grpc.aio.AioRpcError as error:
                raise await verdict.on(error) from None
            if response is grpc.aio.EOF:
                raise ended_early()
            return pending.answer(response)

        first = True
        try:
            async for chunk in source:
                outbox.put_nowait(request(chunk, first=first))
                first = False
                pending.push(chunk)
                if pending.full:
                    yield await answer()
            outbox.put_nowait(None)
            while pending:
                yield await answer()
        finally:
            outbox.put_nowait(None)
            call.cancel()


def next_response(call: Any, seconds: float) -> Any:
    """Waits for the next answer; gRPC itself only knows a deadline for a whole stream."""
    undecided = threading.Lock()  # taken by whichever comes first, the end of the wait or the time limit

    def give_up() -> None:
        if undecided.acquire(blocking=False):
            call.cancel()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        response = next(call, None)
    except grpc.RpcError:
        if not undecided.acquire(blocking=False):
            raise stalled(seconds) from None
        raise
    finally:
        timer.cancel()
    if not undecided.acquire(blocking=False):  # an answer after all, but of a call that was given up
        raise stalled(seconds)
    if response is None:
        raise ended_early()
    return response


def stalled(seconds: float) -> DeadlineExceeded:
    """What a wait that was too long raises."""
    return DeadlineExceeded(
        f"no answer on the stream for {seconds:g} s",
        reason="DEADLINE_EXCEEDED",
        hint="give a longer timeout=, or look whether the server is busy",
    )


def ended_early() -> Internal:
    """What a stream that ends without its last answer raises."""
    return Internal("the server ended the stream before its last answer", reason="STREAM_ENDED")
