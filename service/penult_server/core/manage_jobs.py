"""Use cases on jobs: submit, get, list, watch, cancel, resume, delete."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from penult_server.core.caller import CALLER
from penult_server.core.errors import FailedPrecondition, ResourceExhausted
from penult_server.core.job_feed import JobFeed
from penult_server.core.job_ports import JobDirectories, JobFilter, JobKinds, JobStore
from penult_server.core.jobs import Job, JobChange, JobEvent, JobSignal, JobState, StateChange, advance
from penult_server.core.paging import Page, page_of, start_of_page
from penult_server.core.quotas import UNBOUNDED
from penult_server.core.wall_clock import wall_ms, wall_time

_EVENTS_A_READ = 500
_RETRY_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class NewJob:
    """What a job is to do. `prepare` writes its input into the job's directory; it runs in a thread."""

    kind: str
    subject: str
    parameters: Mapping[str, Any]
    prepare: Callable[[Path], None]
    request_id: str = ""


class ManageJobs:
    """Everything that a client can do with jobs. `wake` tells the runner that there may be work."""

    def __init__(
        self,
        store: JobStore,
        directories: JobDirectories,
        kinds: JobKinds,
        feed: JobFeed,
        *,
        max_queued: int,
        max_queued_per_key: int = UNBOUNDED,
        wake: Callable[[], None],
        stop: Callable[[str], None],
    ) -> None:
        """`max_queued`: most jobs that wait, of all and of one API key.

        `stop` ends the worker of a job that was cancelled.
        """
        self._store = store
        self._directories = directories
        self._kinds = kinds
        self._feed = feed
        self._max_queued = max_queued
        self._max_queued_per_key = max_queued_per_key
        self._wake = wake
        self._stop = stop

    async def submit(self, new: NewJob) -> Job:
        """Queues a job; it is durable when this returns.

        Raises:
            ResourceExhausted: too many jobs wait, or the disk is full.
            PenultError: what `prepare` raises.
        """
        job = await asyncio.to_thread(self._submit, new)
        self._wake()
        return job

    def _submit(self, new: NewJob) -> Job:
        if earlier := self._store.repeated(new.request_id, new.kind, new.subject):
            return earlier
        owner = CALLER.get()
        waiting = self._store.count(JobState.QUEUED)
        if waiting >= self._max_queued:
            raise _too_many(f"{waiting} jobs wait for a worker, which is the most that are taken")
        mine = self._store.count(JobState.QUEUED, owner) if owner else 0
        if mine >= self._max_queued_per_key:
            raise _too_many(f"{mine} jobs of this API key wait for a worker, the most that it may have")
        now = self._later_than_all()
        # Ids sort by the time of their making, so that the order of the queue needs nothing else.
        job_id = f"{round(now * 1000):011x}-{secrets.token_hex(3)}"
        job = Job(
            job_id, new.kind, new.subject, JobState.QUEUED, now, self._kinds.resumable(new.kind),
            parameters=new.parameters, owner=owner,
        )  # fmt: skip
        try:
            new.prepare(self._directories.create(job_id))
            self._directories.seal(job_id)
            kept = self._store.add(JobChange(job, (StateChange(JobState.QUEUED),)), now, new.request_id)
        except BaseException:
            self._directories.remove(job_id)
            raise
        if kept.id != job_id:
            self._directories.remove(job_id)
        return kept

    def _later_than_all(self) -> float:
        """Now in whole milliseconds, past the latest job, should the clock have been put back since."""
        now = wall_ms()
        for latest in self._store.newest(JobFilter(), "", 1):
            now = max(now, int(latest.id.partition("-")[0], 16) + 1)
        return now / 1000

    async def get(self, job_id: str) -> Job:
        """One job. Raises NotFound."""
        return await asyncio.to_thread(self._store.get, job_id)

    async def list(self, wanted: JobFilter, page_size: int, page_token: str) -> Page[Job]:
        """One page, newest first. Raises InvalidArgument for a wrong size or token."""
        size, before = start_of_page(page_size, page_token)
        rows = await asyncio.to_thread(self._store.newest, wanted, before, size + 1)
        return page_of(rows, size, key=lambda job: job.id)

    async def watch(self, job_id: str, after: int) -> AsyncIterator[JobEvent]:
        """Its events after that number, until it has ended. Raises NotFound, Unavailable at shutdown."""
        with self._feed.listening(job_id) as listener:
            while True:
                job, events = await asyncio.to_thread(self._store.events, job_id, after, _EVENTS_A_READ)
                for event in events:
                    yield event
                    after = event.number
                if events:
                    continue
                if job.state.ended:
                    return
                await listener.wait()

    async def cancel(self, job_id: str, request_id: str) -> Job:
        """Ends a job; at once if it waits, within seconds if it runs. Raises NotFound."""

        def change(job: Job) -> JobChange:
            if job.state is JobState.QUEUED:
                return advance(job, JobSignal.CANCEL, wall_time())
            # The runner has the others in hand, and ends them.
            return JobChange(dataclasses.replace(job, cancelling=not job.state.ended))

        job = await self._update(job_id, change, "cancel", request_id)
        if job.cancelling:
            self._stop(job_id)
        elif not job.resumable and job.state is JobState.CANCELLED:
            await asyncio.to_thread(self._directories.remove, job_id)
        return job

    async def resume(self, job_id: str, request_id: str) -> Job:
        """Queues a failed or cancelled job again. Raises NotFound, FailedPrecondition."""

        def change(job: Job) -> JobChange:
            if not job.resumable:
                raise FailedPrecondition(
                    "JOB_NOT_RESUMABLE",
                    f"a job of kind {job.kind!r} saves nothing to go on from",
                    hint="start a new one",
                )
            return advance(job, JobSignal.RESUME, wall_time())

        job = await self._update(job_id, change, "resume", request_id)
        self._wake()
        return job

    async def delete(self, job_id: str, request_id: str) -> None:
        """Forgets a job that has ended. Raises NotFound, FailedPrecondition."""
        await asyncio.to_thread(self._store.delete, job_id, request_id)
        await asyncio.to_thread(self._directories.remove, job_id)
        self._feed.announce(job_id)

    async def _update(
        self, job_id: str, change: Callable[[Job], JobChange], method: str, request_id: str
    ) -> Job:
        now = wall_time()
        job = await asyncio.to_thread(
            lambda: self._store.update(job_id, change, now, method=method, request_id=request_id)
        )
        self._feed.announce(job_id)
        return job


def _too_many(what: str) -> ResourceExhausted:
    return ResourceExhausted(
        "TOO_MANY_JOBS",
        what,
        retry_after=_RETRY_SECONDS,
        hint="retry later, cancel some, or raise max_workers in the server's settings",
    )
