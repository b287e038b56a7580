"""Threads that turn encoded images into pixels, interactive work first.

Decoders release the GIL, so threads scale over cores. The standard executor has one queue; here a
bulk stream that is ahead of itself must not delay the next interactive call.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

from penult_server.core.batching import Priority

Task = Callable[[], None]


class DecodePool:
    """A fixed number of threads over one queue for each priority. Tasks must not raise."""

    def __init__(self, threads: int) -> None:
        """Starts the threads; they end with `close`."""
        self._lanes: tuple[collections.deque[Task], ...] = tuple(collections.deque() for _ in Priority)
        self._ready = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"decode-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, tasks: list[Task], priority: Priority) -> None:
        """Queues tasks in order."""
        with self._ready:
            self._lanes[priority].extend(tasks)
            self._ready.notify(len(tasks))

    def close(self) -> None:
        """Finishes what is queued and ends the threads."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            task()

    def _next(self) -> Task | None:
        with self._ready:
            while True:
                for lane in self._lanes:
                    if lane:
                        return lane.popleft()
                if self._closed:
                    return None
                self._ready.wait()
