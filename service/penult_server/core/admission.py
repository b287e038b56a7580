"""How much work may be inside the server at once, and what happens past that."""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable

from penult_server.core.errors import ResourceExhausted

_RATE_WINDOW = 32


class Admission:
    """Counts the views (images times views of test-time augmentation) that are decoding, queued or computing.

    A unary call past the bound is refused at once, with an estimate of when to come back. A stream
    waits instead: the server stops reading it, and HTTP/2 flow control holds the client. Streams
    may fill only `stream_share` of the bound, so that unary calls always find room.
    """

    def __init__(
        self,
        capacity: int,
        *,
        stream_share: float = 0.5,
        unit: str = "images",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`capacity`: most views inside at once; `unit` is what people are told is counted."""
        self._capacity = capacity
        self._stream_capacity = max(1, int(capacity * stream_share))
        self._unit = unit
        self._clock = clock
        self._inside = 0
        self._waiters: collections.deque[asyncio.Future[None]] = collections.deque()
        self._finished: collections.deque[tuple[float, int]] = collections.deque(maxlen=_RATE_WINDOW)

    @property
    def inside(self) -> int:
        """Views inside now."""
        return self._inside

    def enter(self, views: int) -> None:
        """Takes room for a unary call, to be given back with `leave`. Raises ResourceExhausted OVERLOADED."""
        if self._inside and self._inside + views > self._capacity:
            raise ResourceExhausted(
                "OVERLOADED",
                f"the server already works on {self._inside} {self._unit} and takes at most {self._capacity}",
                retry_after=self._drain_time(views),
                hint=f"retry after the stated delay, send fewer {self._unit} at once, or use a stream",
            )
        self._inside += views

    async def wait_and_enter(self, views: int) -> None:
        """Takes room for one message of a stream, waiting until there is some."""
        while self._inside and self._inside + views > self._stream_capacity:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # A wake-up that arrived together with the cancellation belongs to the next in line.
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
        self._inside += views
        if self._inside < self._stream_capacity:
            self._wake()

    def leave(self, views: int) -> None:
        """Gives room back, once for each entry."""
        self._inside -= views
        self._finished.append((self._clock(), views))
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _drain_time(self, views: int) -> float:
        """Seconds until `views` fit, from the rate of the last releases."""
        if len(self._finished) < 2:
            return 1.0
        elapsed = self._clock() - self._finished[0][0]
        rate = sum(count for _, count in self._finished) / max(elapsed, 1e-3)
        return min(30.0, max(0.05, (self._inside + views - self._capacity) / max(rate, 1e-3)))
