"""How long a phase of a job will still take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from penult_server.core.jobs import Progress


class TimeLeft:
    """Adds an estimate to each progress, from the speed since the phase began in this run.

    A resumed run begins with work that an earlier one did, so speed is counted from its first progress.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._phase: tuple[str, str, int] | None = None
        self._since, self._first = 0.0, 0

    def add(self, progress: Progress) -> Progress:
        """The same with `seconds_left`, as far as it can be told."""
        phase, now = (progress.phase, progress.unit, progress.total), self._clock()
        if phase != self._phase:
            self._phase, self._since, self._first = phase, now, progress.done
        done, seconds = progress.done - self._first, now - self._since
        if progress.total <= 0 or done <= 0 or seconds <= 0:
            return dataclasses.replace(progress, seconds_left=None)
        return dataclasses.replace(
            progress, seconds_left=max(0, progress.total - progress.done) * seconds / done
        )
