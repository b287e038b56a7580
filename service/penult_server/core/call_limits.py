"""How many calls, and bytes of their messages, may be inside the server: of all and of each API key."""

from __future__ import annotations

import asyncio
import collections
import dataclasses

from penult_server.core.errors import ResourceExhausted

_RETRY_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """Most calls and bytes at once, of all and of one API key; most messages of one stream."""

    calls: int
    calls_per_key: int
    bytes: int
    bytes_per_key: int
    stream_messages: int


class CallLimits:
    """On one event loop. A call past a bound is refused at once; a stream waits before its next message."""

    def __init__(self, bounds: Bounds) -> None:
        """Starts empty."""
        self.bounds = bounds
        self.calls = 0
        self.bytes = 0
        self._calls_of: collections.Counter[str] = collections.Counter()
        self._bytes_of: collections.Counter[str] = collections.Counter()
        self._freed = asyncio.Event()

    def enter(self, key: str) -> CallRoom:
        """Lets a call of this key in, "" where it has none. Raises ResourceExhausted OVERLOADED."""
        if self.calls >= self.bounds.calls:
            raise _overloaded(f"{self.calls} calls are in flight, which is the most that are taken")
        if key and self._calls_of[key] >= self.bounds.calls_per_key:
            most = self.bounds.calls_per_key
            raise _overloaded(
                f"{most} calls of this API key are in flight, which is the most that it may have"
            )
        self.count(key, 1, 0)
        return CallRoom(self, key)

    def full(self, key: str) -> str:
        """Which bytes are used up, "" where none are."""
        if self.bytes >= self.bounds.bytes:
            return f"the calls in flight hold {self.bytes >> 20} MiB, which is the most that is taken"
        if key and self._bytes_of[key] >= self.bounds.bytes_per_key:
            return f"the calls of this API key hold {self._bytes_of[key] >> 20} MiB, the most that it may"
        return ""

    async def room(self, key: str) -> None:
        """Waits until there are bytes left."""
        while self.full(key):
            self._freed.clear()
            await self._freed.wait()

    def count(self, key: str, calls: int, size: int) -> None:
        """Adds to what is inside, or takes from it."""
        self.calls += calls
        self.bytes += size
        for counter, amount in ((self._calls_of, calls), (self._bytes_of, size)):
            counter[key] += amount
            if not counter[key]:
                del counter[key]
        if size < 0:
            self._freed.set()


class CallRoom:
    """What one call takes up, until `leave`."""

    def __init__(self, limits: CallLimits, key: str) -> None:
        """A call that was let in."""
        self._limits = limits
        self._key = key
        self._bytes = 0
        self._messages = 0

    def check(self) -> None:
        """Before the only message of a call. Raises ResourceExhausted OVERLOADED."""
        if full := self._limits.full(self._key):
            raise _overloaded(full)

    async def next_message(self) -> None:
        """Before the next message of a stream: the last one is done with, and there is room.

        Raises ResourceExhausted STREAM_TOO_LONG.
        """
        self._hold(0)
        if self._messages >= self._limits.bounds.stream_messages:
            raise ResourceExhausted(
                "STREAM_TOO_LONG",
                f"the stream has had {self._messages} messages, which is the most that one may have",
                retry_after=0.0,
                hint="go on with what is left in a new stream",
            )
        await self._limits.room(self._key)

    def received(self, size: int) -> None:
        """A message has come."""
        self._messages += 1
        self._hold(size)

    def leave(self) -> None:
        """The call has ended."""
        self._hold(0)
        self._limits.count(self._key, -1, 0)

    def _hold(self, size: int) -> None:
        self._limits.count(self._key, 0, size - self._bytes)
        self._bytes = size


def _overloaded(what: str) -> ResourceExhausted:
    return ResourceExhausted(
        "OVERLOADED",
        what,
        retry_after=_RETRY_SECONDS,
        hint="retry after the stated delay, with fewer at once",
    )
