"""A stage of a job while it runs, which the runner follows as it follows a worker process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from penult_server.core.job_faults import explain
from penult_server.core.job_ports import Stage, WorkerEnd, WorkerMessage
from penult_server.core.jobs import Job, JobError, LogLine

_STOPPED = WorkerEnd(lost=JobError("WORKER_STOPPED", "the work was stopped"))
_WAITING = 64
"""Batches of messages that may wait for the database."""


class StageRun:
    """Implements core.job_ports.Worker."""

    def __init__(self, stage: Stage, job: Job, directory: Path) -> None:
        """Starts it, on the running event loop."""
        self._said: asyncio.Queue[Sequence[WorkerMessage]] = asyncio.Queue(_WAITING)
        self._run = asyncio.create_task(self._follow(stage, job, directory))

    async def messages(self) -> AsyncIterator[Sequence[WorkerMessage]]:
        """See core.job_ports.Worker."""
        while (batch := await self._next()) is not None:
            yield batch

    async def end(self) -> WorkerEnd:
        """See core.job_ports.Worker."""
        await asyncio.wait([self._run])
        return _STOPPED if self._run.cancelled() else self._run.result()

    def stop(self) -> None:
        """See core.job_ports.Worker."""
        self._run.cancel()

    async def _next(self) -> Sequence[WorkerMessage] | None:
        """What it says next; None once it has ended and all is said."""
        said = asyncio.ensure_future(self._said.get())
        await asyncio.wait([said, self._run], return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            return said.result()
        said.cancel()
        return None if self._said.empty() else self._said.get_nowait()

    async def _follow(self, stage: Stage, job: Job, directory: Path) -> WorkerEnd:
        try:
            return WorkerEnd(result=await stage(job, directory, self._said.put))
        except Exception as error:  # whatever a stage raises becomes its job's error
            why, trace = explain(error)
            if trace:
                await self._said.put([LogLine("error", trace)])
            return WorkerEnd(error=why)
