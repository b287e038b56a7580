"""The contracts between jobs in core and what runs and keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from penult_server.core.jobs import Job, JobChange, JobError, JobEvent, JobState, LogLine, Metrics, Progress


@dataclasses.dataclass(frozen=True, slots=True)
class Saved:
    """The worker saved work that a later run will use."""


WorkerMessage = Progress | Metrics | LogLine | Saved


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker ended: with a complete result, with an error of the work, or else lost. Exactly one.

    None of them is the end of a stage that has prepared the work of a worker.
    """

    result: Mapping[str, Any] | None = None
    error: JobError | None = None
    lost: JobError | None = None


class JobKinds(Protocol):
    """The kinds of job that workers can do."""

    def resumable(self, kind: str) -> bool:
        """Whether a new run of this kind goes on from what the last one saved. Raises Internal if unknown."""
        ...


class Worker(Protocol):
    """A process that does one job."""

    def messages(self) -> AsyncIterator[Sequence[WorkerMessage]]:
        """What it says, in order and in batches, until it ends or falls silent."""
        ...

    async def end(self) -> WorkerEnd:
        """Waits until no process of it is left."""
        ...

    def stop(self) -> None:
        """Asks it to end, and ends it if it has not after some seconds. May be called again."""
        ...


class Workers(Protocol):
    """Starts worker processes."""

    async def start(self, job: Job, directory: Path) -> Worker:
        """A worker for this job that may write into `directory` and nowhere else."""
        ...

    def result(self, directory: Path) -> Mapping[str, Any] | None:
        """The complete result that a worker left there, if it did. Blocking."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; what is empty keeps all."""

    states: frozenset[JobState] = frozenset()
    kind: str = ""
    subject: str = ""


class JobStore(Protocol):
    """Keeps jobs and their events. Blocking; every write is one durable transaction.

    A repeat of a write with the same non-empty `request_id` changes nothing and returns the job as
    it is now; with the request_id of a different write it raises InvalidArgument REQUEST_ID_REUSED.
    """

    def add(self, change: JobChange, now: float, request_id: str) -> Job:
        """A new job."""
        ...

    def repeated(self, request_id: str, kind: str, subject: str) -> Job | None:
        """The job that this request_id added before, if it did."""
        ...

    def update(
        self,
        job_id: str,
        change: Callable[[Job], JobChange],
        now: float,
        *,
        method: str = "",
        request_id: str = "",
    ) -> Job:
        """Applies `change` to the job as it is at that moment. Raises NotFound, and what `change` raises."""
        ...

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFound."""
        ...

    def newest(self, wanted: JobFilter, before: str, limit: int) -> list[Job]:
        """Jobs that match, newest first, older than the id `before` unless that is empty."""
        ...

    def oldest(self, state: JobState, limit: int | None = None) -> list[Job]:
        """Jobs in this state, oldest first; all of them without a limit."""
        ...

    def count(self, state: JobState, owner: str | None = None) -> int:
        """Number of jobs in this state, of one API key if it is given."""
        ...

    def events(self, job_id: str, after: int, limit: int) -> tuple[Job, list[JobEvent]]:
        """The job and its events after that number, as they were at one moment. Raises NotFound."""
        ...

    def delete(self, job_id: str, request_id: str = "") -> None:
        """Forgets a job that has ended. Raises NotFound, FailedPrecondition."""
        ...

    def expire(self, *, keep: int, ended_before: float) -> list[str]:
        """Forgets all but the `keep` latest ended jobs, and what ended before that time. Their ids."""
        ...


class JobDirectories(Protocol):
    """The directory in which a job's workers read their input and make what is not yet visible. Blocking."""

    def create(self, job_id: str) -> Path:
        """A new empty directory. Raises ResourceExhausted where the disk is full."""
        ...

    def path(self, job_id: str) -> Path:
        """Where it is."""
        ...

    def seal(self, job_id: str) -> None:
        """Makes what was written into it durable."""
        ...

    def remove(self, job_id: str) -> None:
        """Removes it with all that is in it, if it is there."""
        ...

    def all_ids(self) -> list[str]:
        """Of which jobs there are directories."""
        ...


Report = Callable[[Sequence[WorkerMessage]], Awaitable[None]]
"""Tells what a stage has to say; waits while the database is behind."""

Stage = Callable[[Job, Path, Report], Awaitable[Mapping[str, Any] | None]]
"""The part of a job that is done inside the server, for what needs its device or its indexes.

Runs before the job's worker, and writes into the job's directory what that needs; or returns the
result, and then there is no worker. It is cancelled when the job is or the server drains, and runs
again after a crash. It raises a PenultError for what is wrong with the job.
"""

Publish = Callable[[Job, Path, Mapping[str, Any]], Mapping[str, Any]]
"""Makes what a job made visible, in one commit, and returns the result to show.

Gets the job, its directory and its worker's result. Called again after a crash, so it must do
nothing the second time. Blocking.
"""
