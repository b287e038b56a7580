"""Jobs as the server puts them together, without the wire: real database and workers, kinds of the tests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from unittest import mock

from penult_server.core.job_feed import JobFeed
from penult_server.core.job_ports import Publish, Stage
from penult_server.core.jobs import Job, JobEvent
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.run_jobs import JobRunner, Retention
from penult_server.engine.workers.kinds import RegisteredKinds
from penult_server.engine.workers.processes import WorkerProcesses
from penult_server.store.database import Database
from penult_server.store.job_directories import JobDirectories
from penult_server.store.jobs import DatabaseJobs
from tests import job_kinds  # noqa: F401 - registers the kinds
from tests.conftest import ROOT

FOREVER = Retention(100, 3600.0)


def path_of_kinds() -> str:
    """PYTHONPATH for processes that are to know the kinds of the tests: those see what is installed only."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


@dataclasses.dataclass
class Lab:
    """A running house of jobs."""

    jobs: ManageJobs
    runner: JobRunner
    store: DatabaseJobs
    directories: JobDirectories
    database: Database
    reported: list[tuple[str, BaseException]]

    async def submit(self, kind: str, request_id: str = "", **parameters: object) -> Job:
        """Queues a job of a kind of the tests."""
        return await self.jobs.submit(NewJob(kind, "subject", parameters, lambda path: None, request_id))

    async def ended(self, job: Job, seconds: float = 60) -> Job:
        """The job once it has ended."""
        await self.until(job, lambda now: now.state.ended, seconds)
        return await self.jobs.get(job.id)

    async def until(self, job: Job, reached: Callable[[Job], object], seconds: float = 60) -> Job:
        """The job once it is as wanted."""

        async def poll() -> Job:
            while not reached(now := await self.jobs.get(job.id)):
                await asyncio.sleep(0.01)
            return now

        return await asyncio.wait_for(poll(), seconds)

    async def cleared(self, *left: str, seconds: float = 10) -> None:
        """Waits until only these jobs have directories: they go just after the end is shown."""

        async def poll() -> None:
            while sorted(self.directories.all_ids()) != sorted(left):
                await asyncio.sleep(0.01)

        await asyncio.wait_for(poll(), seconds)

    async def events(self, job: Job, after: int = 0) -> list[JobEvent]:
        """All that watching gives until the job has ended."""
        return [event async for event in self.jobs.watch(job.id, after)]


@contextlib.asynccontextmanager
async def lab(
    path: Path,
    *,
    max_workers: int = 1,
    max_queued: int = 100,
    max_events: int = 1000,
    retention: Retention = FOREVER,
    stages: Mapping[str, Stage] | None = None,
    publish: Mapping[str, Publish] | None = None,
    silence_seconds: float = 60,
) -> AsyncIterator[Lab]:
    """Opens the data directory `path` as a server does at its start, and closes it as one that drains."""
    database = Database(path / "penult.db")
    store, directories = DatabaseJobs(database, max_events), JobDirectories(path / "jobs")
    feed = JobFeed()
    reported: list[tuple[str, BaseException]] = []
    runner = JobRunner(
        store, directories, WorkerProcesses(grace_seconds=0.5, silence_seconds=silence_seconds), feed,
        max_workers=max_workers, retention=retention, stages=stages or {}, publish=publish or {},
        report=lambda job_id, error: reported.append((job_id, error)),
    )  # fmt: skip
    jobs = ManageJobs(
        store, directories, RegisteredKinds({"stage": True}), feed,
        max_queued=max_queued, wake=runner.wake, stop=runner.stop,
    )  # fmt: skip
    await runner.recover()
    running = asyncio.create_task(runner.run())
    try:
        with mock.patch.dict(os.environ, PYTHONPATH=path_of_kinds()):
            yield Lab(jobs, runner, store, directories, database, reported)
    finally:
        feed.close()
        await runner.close()
        await running
        database.close()
