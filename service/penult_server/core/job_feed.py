"""Wakes those who watch a job when there is something new to read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from penult_server.core.errors import Unavailable


class Listener:
    """One watcher's ear."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()
        self.closed = False

    async def wait(self) -> None:
        """Returns once something was announced since the last return. Raises Unavailable at shutdown."""
        await self._heard.wait()
        self._heard.clear()
        if self.closed:
            raise Unavailable(
                "DRAINING", "the server is shutting down", hint="watch again from the last event number"
            )

    def tell(self) -> None:
        """Something is new."""
        self._heard.set()


class JobFeed:
    """Announcements by job id. Used on the event loop only."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._closed = False

    def announce(self, job_id: str) -> None:
        """There is something new about this job."""
        for listener in self._listeners.get(job_id, ()):
            listener.tell()

    @contextlib.contextmanager
    def listening(self, job_id: str) -> Iterator[Listener]:
        """Hears all that is announced from now on: listen first, then read."""
        listener = Listener()
        self._listeners.setdefault(job_id, set()).add(listener)
        if self._closed:
            self._close(listener)
        try:
            yield listener
        finally:
            self._listeners[job_id].discard(listener)
            if not self._listeners[job_id]:
                del self._listeners[job_id]

    def close(self) -> None:
        """Ends every wait, so that no watcher holds up a shutdown."""
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                self._close(listener)

    @staticmethod
    def _close(listener: Listener) -> None:
        listener.closed = True
        listener.tell()
