"""Jobs and their events in the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import sqlalchemy as sa

from penult_server.core.errors import FailedPrecondition, NotFound
from penult_server.core.job_ports import JobFilter
from penult_server.core.jobs import Job, JobChange, JobEvent, JobState
from penult_server.store.acknowledged import recall, remember
from penult_server.store.database import Database
from penult_server.store.job_rows import event_from_row, event_to_row, job_from_row, job_to_row
from penult_server.store.job_tables import job_events, jobs


class DatabaseJobs:
    """Implements core.job_ports.JobStore."""

    def __init__(self, database: Database, max_events: int) -> None:
        """`max_events`: most events kept of one job; the oldest go first."""
        self._database = database
        self._max_events = max_events

    def add(self, change: JobChange, now: float, request_id: str) -> Job:
        """See core.job_ports.JobStore."""
        write = _submission(change.job.kind, change.job.subject)
        with self._database.write() as connection:
            if (earlier := recall(connection, request_id, write)) is not None:
                return _get(connection, earlier)
            connection.execute(jobs.insert().values(job_to_row(change.job)))
            job = self._put(connection, change, now)
            remember(connection, request_id, write, job.id)
            return job

    def repeated(self, request_id: str, kind: str, subject: str) -> Job | None:
        """See core.job_ports.JobStore."""
        with self._database.read() as connection:
            earlier = recall(connection, request_id, _submission(kind, subject))
            return None if earlier is None else _get(connection, earlier)

    def update(
        self,
        job_id: str,
        change: Callable[[Job], JobChange],
        now: float,
        *,
        method: str = "",
        request_id: str = "",
    ) -> Job:
        """See core.job_ports.JobStore."""
        with self._database.write() as connection:
            job = _get(connection, job_id)
            if recall(connection, request_id, f"{method} {job_id}") is not None:
                return job
            job = self._put(connection, change(job), now)
            remember(connection, request_id, f"{method} {job_id}", job_id)
            return job

    def get(self, job_id: str) -> Job:
        """See core.job_ports.JobStore."""
        with self._database.read() as connection:
            return _get(connection, job_id)

    def newest(self, wanted: JobFilter, before: str, limit: int) -> list[Job]:
        """See core.job_ports.JobStore."""
        query = sa.select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if before:
            query = query.where(jobs.c.id < before)
        if wanted.states:
            query = query.where(jobs.c.state.in_([state.value for state in wanted.states]))
        if wanted.kind:
            query = query.where(jobs.c.kind == wanted.kind)
        if wanted.subject:
            query = query.where(jobs.c.subject == wanted.subject)
        return self._jobs(query)

    def oldest(self, state: JobState, limit: int | None = None) -> list[Job]:
        """See core.job_ports.JobStore."""
        return self._jobs(sa.select(jobs).where(jobs.c.state == state.value).order_by(jobs.c.id).limit(limit))

    def count(self, state: JobState, owner: str | None = None) -> int:
        """See core.job_ports.JobStore."""
        query = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state == state.value)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def events(self, job_id: str, after: int, limit: int) -> tuple[Job, list[JobEvent]]:
        """See core.job_ports.JobStore."""
        query = (
            sa.select(job_events)
            .where(job_events.c.job_id == job_id, job_events.c.number > after)
            .order_by(job_events.c.number)
            .limit(limit)
        )
        with self._database.read() as connection:
            return _get(connection, job_id), [event_from_row(row) for row in connection.execute(query)]

    def delete(self, job_id: str, request_id: str = "") -> None:
        """See core.job_ports.JobStore."""
        with self._database.write() as connection:
            if recall(connection, request_id, f"delete {job_id}") is not None:
                return
            job = _get(connection, job_id)
            if not job.state.ended:
                raise FailedPrecondition(
                    "JOB_NOT_ENDED", f"job {job_id} is {job.state.value}", hint="cancel it first"
                )
            connection.execute(jobs.delete().where(jobs.c.id == job_id))
            remember(connection, request_id, f"delete {job_id}", job_id)

    def expire(self, *, keep: int, ended_before: float) -> list[str]:
        """See core.job_ports.JobStore."""
        kept = sa.select(jobs.c.id).where(jobs.c.ended.is_not(None))
        kept = kept.where(jobs.c.ended >= ended_before).order_by(jobs.c.ended.desc()).limit(keep)
        old = jobs.c.ended.is_not(None) & jobs.c.id.not_in(kept.scalar_subquery())
        with self._database.write() as connection:
            ids = list(connection.execute(sa.select(jobs.c.id).where(old)).scalars())
            connection.execute(jobs.delete().where(old))
        return ids

    def _jobs(self, query: sa.Select[tuple[object, ...]]) -> list[Job]:
        with self._database.read() as connection:
            return [job_from_row(row) for row in connection.execute(query)]

    def _put(self, connection: sa.Connection, change: JobChange, now: float) -> Job:
        """Writes the job and its new events, and drops its oldest past the bound."""
        first = change.job.last_event + 1
        rows = [
            event_to_row(change.job.id, number, now, body)
            for number, body in enumerate(change.events, start=first)
        ]
        job = dataclasses.replace(change.job, last_event=change.job.last_event + len(rows))
        connection.execute(jobs.update().where(jobs.c.id == job.id).values(job_to_row(job)))
        if rows:
            connection.execute(job_events.insert(), rows)
            too_old = job_events.c.number <= job.last_event - self._max_events
            connection.execute(job_events.delete().where(job_events.c.job_id == job.id, too_old))
        return job


def _submission(kind: str, subject: str) -> str:
    return f"{kind} {subject}"


def _get(connection: sa.Connection, job_id: str) -> Job:
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotFound(
            "JOB_NOT_FOUND", f"there is no job {job_id[:80]!r}", hint="it may have been deleted or expired"
        )
    return job_from_row(row)
