"""The time of day for what is kept: it never runs backwards, whatever is done to the machine's clock.

What only measures how long something takes uses `time.monotonic` instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Forwards:
    """Seconds since 1970. Where the machine's clock is put back, time goes on from where it was.

    Once the machine's clock has caught up it is followed again. So a key that has expired stays so, and what
    happened later has the later time. It lasts as long as the process.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`wall` may jump; `monotonic` says how much time has gone by."""
        self._wall, self._monotonic = wall, monotonic
        self._lock = threading.Lock()
        self._last, self._last_monotonic = wall(), monotonic()

    def __call__(self) -> float:
        """Now; never less than what the call before gave."""
        with self._lock:
            elapsed = self._monotonic()
            self._last = max(self._wall(), self._last + (elapsed - self._last_monotonic))
            self._last_monotonic = elapsed
            return self._last


wall_time = Forwards()
"""The process's own."""


def wall_ms() -> int:
    """The same in whole milliseconds, as rows hold it."""
    return int(wall_time() * 1000)
