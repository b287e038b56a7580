"""A stream in both directions whose messages are answered in order, for threads and for asyncio.

Where the server cannot be reached before the first answer it is tried again, with what was sent so far.
gRPC's own retries do the same, but where a server dies in that time a call with streamed answers may never
end, not even when it is cancelled (seen with grpcio 1.85). So they are off for such calls.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc

from penult._channel import Endpoint
from penult._status import too_late
from penult._verdict import Verdict
from penult.errors import DeadlineExceeded, Internal, PenultError

# Enough to keep a server's batches full while answers travel, small enough to hold in memory.
MAX_PENDING_MESSAGES = 16
MAX_PENDING_BYTES = 32 << 20

RETRY_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Pauses before further attempts, as those of the calls that gRPC retries."""

_STATUS_SECONDS = 1.0
"""A call that is cancelled between its last answer and its status counts at the server as one that was left.

So the status is awaited; that it says anything new is not expected, and where it is late it is not missed.
"""


class _Attempts:
    """What is needed for another one: the pauses that are left, and the messages, up to the first answer."""

    def __init__(self) -> None:
        self._pauses = iter(RETRY_SECONDS)
        self._sent: list[Any] | None = []

    def sent(self, message: Any) -> None:
        """`message` is on its way; None ends the stream."""
        if self._sent is not None:
            self._sent.append(message)

    def answered(self) -> None:
        """From here on another attempt could repeat what was done."""
        self._sent = None

    def again(self, code: grpc.StatusCode) -> tuple[float, list[Any]] | None:
        """Seconds to wait and what to send then; None where the failure is to stay."""
        if self._sent is None or code is not grpc.StatusCode.UNAVAILABLE:
            return None
        pause = next(self._pauses, None)
        return None if pause is None else (pause, self._sent)


class _Stream(abc.ABC):
    """What both have: the way out, the messages that are not answered yet, and what another attempt needs."""

    _outbox: queue.SimpleQueue[Any] | asyncio.Queue[Any]
    _call: Any

    def __init__(self, method: Callable[..., Any], endpoint: Endpoint, timeout: float | None) -> None:
        """`timeout` bounds the wait for each answer: a stream may take hours, a healthy server never does."""
        self._method = method
        self._endpoint = endpoint
        self._seconds = timeout or endpoint.timeout
        self._attempts = _Attempts()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._open([])

    @property
    def full(self) -> bool:
        """True when an answer must come before the next message is made: this is what bounds memory."""
        return len(self._sizes) >= MAX_PENDING_MESSAGES or self._bytes >= MAX_PENDING_BYTES

    def send(self, request: Any, size: int) -> None:
        """Hands a message of about `size` bytes to gRPC's sender. Does not wait."""
        self._sizes.append(size)
        self._bytes += size
        self._put(request)

    def close(self) -> None:
        """Cancels what is not done."""
        self._outbox.put_nowait(None)  # the sender waits on the outbox even when the call has ended
        self._call.cancel()

    def _put(self, message: Any) -> None:
        self._attempts.sent(message)
        self._outbox.put_nowait(message)

    def _answered(self) -> None:
        self._attempts.answered()
        self._bytes -= self._sizes.popleft()

    @abc.abstractmethod
    def _open(self, sent: list[Any]) -> None:
        """Starts a call with what was sent so far."""


class Duplex(_Stream):
    """For threads. Its methods raise what gRPC raises, and PenultError. `close` ends it in any case."""

    def answer(self) -> Any:
        """The next answer. Raises DeadlineExceeded."""
        while True:
            try:
                response = next_response(self._call, self._seconds)
            except grpc.RpcError as error:
                again = self._attempts.again(error.code())
                if again is None:
                    raise
                pause, sent = again
                self.close()
                time.sleep(pause)
                self._open(sent)
            else:
                self._answered()
                return response

    def rest(self) -> Iterator[Any]:
        """Says that no more messages come, and yields the answers that are owed. Raises DeadlineExceeded."""
        self._put(None)
        while self._sizes:
            yield self.answer()
        with contextlib.suppress(grpc.RpcError, PenultError):
            next_response(self._call, _STATUS_SECONDS)

    def _open(self, sent: list[Any]) -> None:
        outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for message in sent:
            outbox.put(message)
        self._outbox = outbox
        self._call = self._method(iter(outbox.get, None), metadata=self._endpoint.metadata)


class AsyncDuplex(_Stream):
    """The same for asyncio."""

    async def answer(self) -> Any:
        """The next answer. Raises DeadlineExceeded."""
        while True:
            try:
                response = await asyncio.wait_for(self._call.read(), self._seconds)
            except asyncio.TimeoutError:
                raise _stalled(self._seconds) from None
            except grpc.aio.AioRpcError as failed_read:
                error = await self._verdict.on(failed_read)
                again = self._attempts.again(error.code())
                if again is None:
                    raise error from None
                pause, sent = again
                self.close()
                await asyncio.sleep(pause)
                self._open(sent)
            else:
                if response is grpc.aio.EOF:
                    raise _ended_early()
                self._answered()
                return response

    async def rest(self) -> AsyncIterator[Any]:
        """As that for threads."""
        self._put(None)
        while self._sizes:
            yield await self.answer()
        with contextlib.suppress(grpc.RpcError, asyncio.TimeoutError):
            await asyncio.wait_for(self._call.read(), _STATUS_SECONDS)

    def _open(self, sent: list[Any]) -> None:
        outbox: asyncio.Queue[Any] = asyncio.Queue()
        for message in sent:
            outbox.put_nowait(message)

        async def requests() -> AsyncIterator[Any]:
            while (message := await outbox.get()) is not None:
                yield message

        self._outbox = outbox
        self._call = self._method(requests(), metadata=self._endpoint.metadata)
        self._verdict = Verdict(self._call)


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
            raise _stalled(seconds) from None
        raise
    finally:
        timer.cancel()
    if not undecided.acquire(blocking=False):  # an answer after all, but of a call that was given up
        raise _stalled(seconds)
    if response is None:
        raise _ended_early()
    return response


def _stalled(seconds: float) -> DeadlineExceeded:
    return too_late(f"no answer on the stream for {seconds:g} s")


def _ended_early() -> Internal:
    return Internal("the server ended the stream before its last answer", reason="STREAM_ENDED")
