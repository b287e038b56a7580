"""What a kind of job sees of the world: a directory, and ways to say how it goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from penult_server.core.job_ports import Saved, WorkerMessage
from penult_server.core.jobs import LogLevel, LogLine, Metrics, Progress
from penult_server.engine.workers.messages import Channel

_SECONDS_BETWEEN = 0.2


class Task:
    """One run of a job, inside its worker."""

    def __init__(self, directory: Path, channel: Channel) -> None:
        """`directory` is the job's own; it outlives the run."""
        self.directory = directory
        self._channel = channel
        self._last = (0.0, "")

    def progress(self, done: int, total: int = 0, *, unit: str = "", phase: str = "") -> None:
        """Says how far it is; may be called for every item, some calls are left out."""
        now, (before, last_phase) = time.monotonic(), self._last
        if done != total and phase == last_phase and now - before < _SECONDS_BETWEEN:
            return
        self._last = (now, phase)
        self._channel.send(Progress(done, total, unit, phase))

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Reports measured values."""
        self._channel.send(Metrics(values, step))

    def log(self, text: str, level: LogLevel = "info") -> None:
        """Adds a line for people."""
        self._channel.send(LogLine(level, text))

    def relay(self, message: WorkerMessage) -> None:
        """Passes on what a process of this job says."""
        self._channel.send(message)

    def saved(self) -> None:
        """Says that the directory now durably holds work from which another run will go on."""
        self._channel.send(Saved())
