"""The runner: takes queued jobs oldest first, follows their workers, and settles how they end."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penult_server.core.caller import CALLER
from penult_server.core.errors import (
    FailedPrecondition,
    NotFound,
    PenultError,
    ResourceExhausted,
    Unavailable,
)
from penult_server.core.job_feed import JobFeed
from penult_server.core.job_ports import (
    JobDirectories,
    JobStore,
    Publish,
    Saved,
    Stage,
    Worker,
    WorkerEnd,
    WorkerMessage,
    Workers,
)
from penult_server.core.jobs import (
    CANCELLED,
    EventBody,
    Job,
    JobChange,
    JobError,
    JobSignal,
    JobState,
    Metrics,
    Progress,
    advance,
)
from penult_server.core.stages import StageRun
from penult_server.core.time_left import TimeLeft
from penult_server.core.wall_clock import wall_time

MAX_LOSSES = 3
"""Runs in a row that a job may lose with their workers before it saves anything; then it fails."""
_RETRY_SECONDS = 5.0
_SERVER_ENDED = JobError("SERVER_ENDED", "the server ended while the job ran", "start the job again")


@dataclasses.dataclass(frozen=True, slots=True)
class Retention:
    """How many ended jobs are kept, and for how many seconds."""

    jobs: int
    seconds: float


class JobRunner:
    """Runs jobs in workers until `close`. What it knows is in the store; a crash loses nothing."""

    def __init__(
        self,
        store: JobStore,
        directories: JobDirectories,
        workers: Workers,
        feed: JobFeed,
        *,
        max_workers: int,
        retention: Retention,
        stages: Mapping[str, Stage],
        publish: Mapping[str, Publish],
        report: Callable[[str, BaseException], None],
    ) -> None:
        """`stages`: by kind, for those with work to do inside the server before, or instead of, a worker.

        `publish`: by kind, for those that make more than a result to show.

        `report(job_id, error)` hears what keeps a job from being settled, such as a full disk; "" stands for
        whatever job would be next.
        """
        self._store = store
        self._directories = directories
        self._workers = workers
        self._feed = feed
        self._max_workers = max_workers
        self._retention = retention
        self._stages = stages
        self._publish = publish
        self._report = report
        self._work = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._worker_of: dict[str, Worker] = {}
        self._closing = False

    def wake(self) -> None:
        """There may be something to start."""
        self._work.set()

    def stop(self, job_id: str) -> None:
        """Ends the worker of this job, if there is one."""
        if worker := self._worker_of.get(job_id):
            worker.stop()

    async def recover(self) -> None:
        """Settles what the last server left. To be awaited before anything can submit or resume."""
        await asyncio.to_thread(self._expire)
        await asyncio.to_thread(self._sweep)
        for job in await asyncio.to_thread(self._store.oldest, JobState.RUNNING):
            await self._update(job.id, lambda job: _lost(job, _SERVER_ENDED, counts=False))
        for job in await asyncio.to_thread(self._store.oldest, JobState.INTERRUPTED):
            await self._settle_interrupted(job)

    async def run(self) -> None:
        """Starts queued jobs, oldest first, until `close`."""
        while not self._closing:
            self._work.clear()
            try:
                await self._start_some()
            except Unavailable as error:
                self._report("", error)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.wake)
            await self._work.wait()

    async def close(self) -> None:
        """Ends the workers; their jobs are interrupted, and go on when a server starts again."""
        self._closing = True
        self.wake()
        for worker in self._worker_of.values():
            worker.stop()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _start_some(self) -> None:
        if len(self._running) >= self._max_workers:
            return
        waiting = await asyncio.to_thread(self._store.oldest, JobState.QUEUED, self._max_workers)
        if self._closing:
            return
        # One that was interrupted waits again before its task has ended.
        startable = [job for job in waiting if job.id not in self._running]
        for job in startable[: self._max_workers - len(self._running)]:
            task = asyncio.create_task(self._follow(job.id))
            self._running[job.id] = task
            task.add_done_callback(functools.partial(self._followed, job.id))

    def _followed(self, job_id: str, task: asyncio.Task[None]) -> None:
        del self._running[job_id]
        self.wake()
        if not task.cancelled() and (error := task.exception()):
            self._report(job_id, error)

    async def _follow(self, job_id: str) -> None:
        """One run of a job, from its start to what comes of it."""
        try:
            job = await self._advance(job_id, JobSignal.START)
        except (NotFound, FailedPrecondition):  # cancelled or deleted at the last moment
            return None
        try:
            end = await self._work_on(job)
        except PenultError as error:  # no process, or no room for its events
            end = WorkerEnd(error=_why(error))
        while True:
            try:
                return await self._settle(job, end)
            # A full disk or a lost database is somebody's to mend; the end must not be lost.
            except (ResourceExhausted, Unavailable) as error:
                self._report(job_id, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _work_on(self, job: Job) -> WorkerEnd:
        CALLER.set(job.owner)
        directory = self._directories.path(job.id)
        clock = TimeLeft(time.monotonic)
        if stage := self._stages.get(job.kind):
            end = await self._listen(job, StageRun(stage, job, directory), clock)
            if end != WorkerEnd():
                return end
        return await self._listen(job, await self._workers.start(job, directory), clock)

    async def _listen(self, job: Job, worker: Worker, clock: TimeLeft) -> WorkerEnd:
        self._worker_of[job.id] = worker
        try:
            if self._closing or (await asyncio.to_thread(self._store.get, job.id)).cancelling:
                worker.stop()
            async for batch in worker.messages():
                messages = [clock.add(each) if isinstance(each, Progress) else each for each in batch]
                await self._update(job.id, functools.partial(_recorded, messages))
            return await worker.end()
        finally:
            worker.stop()
            await worker.end()
            del self._worker_of[job.id]

    async def _settle(self, job: Job, end: WorkerEnd) -> None:
        if end.result is not None:
            await self._succeed(job, end.result)
        elif end.error is not None:
            await self._fail(job, end.error)
        elif end.lost is not None:
            lost = _SERVER_ENDED if self._closing else end.lost
            job = await self._update(job.id, lambda job: _lost(job, lost, counts=not self._closing))
            if not self._closing:  # else the next server settles it
                await self._settle_interrupted(job)

    async def _settle_interrupted(self, job: Job) -> None:
        assert job.error is not None
        result = await asyncio.to_thread(self._workers.result, self._directories.path(job.id))
        if result is not None:
            await self._succeed(job, result)
        elif job.resumable and job.losses < MAX_LOSSES:
            await self._update(job.id, lambda job: _or_cancelled(job, JobSignal.REQUEUE))
            self.wake()
        else:
            await self._fail(job, job.error)

    async def _succeed(self, job: Job, made: Mapping[str, Any]) -> None:
        if (await asyncio.to_thread(self._store.get, job.id)).cancelling:
            await self._fail(job, CANCELLED)
            return
        CALLER.set(job.owner)
        if publish := self._publish.get(job.kind):
            try:
                made = await asyncio.to_thread(publish, job, self._directories.path(job.id), made)
            except PenultError as error:
                await self._fail(job, _why(error))
                return
        now = wall_time()
        await self._update(job.id, lambda job: advance(job, JobSignal.SUCCEED, now, result=made))
        await self._clean(job.id)

    async def _fail(self, job: Job, error: JobError) -> None:
        await self._update(job.id, lambda job: _or_cancelled(job, JobSignal.FAIL, error))
        await self._clean(job.id)

    async def _clean(self, job_id: str) -> None:
        await asyncio.to_thread(self._clean_directory, job_id)
        await asyncio.to_thread(self._expire)

    def _clean_directory(self, job_id: str) -> None:
        """Removes what nobody needs any more; a resumable job that did not succeed keeps what it saved."""
        try:
            job = self._store.get(job_id)
        except NotFound:
            self._directories.remove(job_id)
            return
        if job.state is JobState.SUCCEEDED or (job.state.ended and not job.resumable):
            self._directories.remove(job_id)

    def _expire(self) -> None:
        before = wall_time() - self._retention.seconds
        for job_id in self._store.expire(keep=self._retention.jobs, ended_before=before):
            self._directories.remove(job_id)

    def _sweep(self) -> None:
        """Clears what a crash kept from being cleared."""
        for job_id in self._directories.all_ids():
            self._clean_directory(job_id)

    async def _advance(self, job_id: str, signal: JobSignal) -> Job:
        return await self._update(job_id, lambda job: advance(job, signal, wall_time()))

    async def _update(self, job_id: str, change: Callable[[Job], JobChange]) -> Job:
        job = await asyncio.to_thread(self._store.update, job_id, change, wall_time())
        self._feed.announce(job_id)
        return job


def _why(error: PenultError) -> JobError:
    return JobError(error.reason, error.message, error.hint)


def _or_cancelled(job: Job, signal: JobSignal, error: JobError | None = None) -> JobChange:
    """The step, unless somebody cancelled the job before it came to that."""
    if job.cancelling:
        return advance(job, JobSignal.CANCEL, wall_time())
    return advance(job, signal, wall_time(), error=error)


def _recorded(messages: Sequence[WorkerMessage], job: Job) -> JobChange:
    events: list[EventBody] = []
    for message in messages:
        if isinstance(message, Saved):
            job = dataclasses.replace(job, losses=0)
            continue
        events.append(message)
        if isinstance(message, Progress):
            job = dataclasses.replace(job, progress=message)
        elif isinstance(message, Metrics):
            job = dataclasses.replace(job, metrics={**job.metrics, **message.values})
    return JobChange(job, tuple(events))


def _lost(job: Job, error: JobError, *, counts: bool) -> JobChange:
    if counts:
        job = dataclasses.replace(job, losses=job.losses + 1)
    return advance(job, JobSignal.LOSE, wall_time(), error=error)
