from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from penult_server.core.errors import FailedPrecondition, InvalidArgument, NotFound
from penult_server.core.job_ports import JobFilter
from penult_server.core.jobs import (
    EventBody,
    Job,
    JobChange,
    JobError,
    JobState,
    LogLine,
    Metrics,
    Progress,
    StateChange,
)
from penult_server.store.jobs import DatabaseJobs
from tests.databases import Place

MAX_EVENTS = 20


@pytest.fixture
def store(place: Place) -> Iterator[DatabaseJobs]:
    database = place.open()
    yield DatabaseJobs(database, MAX_EVENTS)
    database.close()


def job(job_id: str, state: JobState = JobState.QUEUED, ended: float | None = None) -> Job:
    return Job(job_id, "kind", "flowers", state, 1.5, True, parameters={"a": [1, None]}, ended=ended)


def add(store: DatabaseJobs, new: Job, request_id: str = "") -> Job:
    return store.add(JobChange(new, (StateChange(new.state),)), 2.0, request_id)


def test_what_is_kept_comes_back_also_from_a_new_connection(place: Place) -> None:
    progress = Progress(1, 2, "images", "decode", 3.5)
    bodies: tuple[EventBody, ...] = (
        progress,
        Metrics({"loss": 0.25}, 7),
        LogLine("warning", "später ✓"),
        StateChange(JobState.FAILED, JobError("A", "b", "c")),
    )
    database = place.open()
    store = DatabaseJobs(database, MAX_EVENTS)
    add(store, job("1"))
    full = dataclasses.replace(
        job("1"), state=JobState.FAILED, started=2.0, ended=3.0, progress=progress, last_event=1,
        metrics={"loss": 0.25}, error=JobError("A", "b", "c"), cancelling=True, losses=2,
    )  # fmt: skip
    written = store.update("1", lambda before: JobChange(full, bodies), 9.0)
    database.close()
    database = place.open()
    kept, events = DatabaseJobs(database, MAX_EVENTS).events("1", 1, 100)
    database.close()
    assert kept == written == dataclasses.replace(full, last_event=5)
    assert [(event.number, event.time) for event in events] == [(n, 9.0) for n in range(2, 6)]
    assert tuple(event.body for event in events) == bodies


def test_a_change_that_raises_leaves_everything_as_it_was(store: DatabaseJobs) -> None:
    before = add(store, job("1"))

    def fail(_: Job) -> JobChange:
        raise FailedPrecondition("NO", "no")

    with pytest.raises(FailedPrecondition):
        store.update("1", fail, 3.0)
    assert store.events("1", 0, 10) == (before, store.events("1", 0, 10)[1])
    assert len(store.events("1", 0, 10)[1]) == 1


def test_events_are_bounded_and_keep_their_numbers(store: DatabaseJobs) -> None:
    add(store, job("1"))
    for number in range(5):
        lines = tuple(LogLine("info", f"{number}.{n}") for n in range(10))
        store.update("1", lambda before, lines=lines: JobChange(before, lines), 3.0)  # type: ignore[misc]
    kept, events = store.events("1", 0, 1000)
    assert kept.last_event == 51
    assert [event.number for event in events] == list(range(51 - MAX_EVENTS + 1, 52))
    assert [event.number for event in store.events("1", 45, 3)[1]] == [46, 47, 48]


def test_filters_and_orders(store: DatabaseJobs) -> None:
    for job_id, state in (("1", JobState.QUEUED), ("2", JobState.RUNNING), ("3", JobState.QUEUED)):
        add(store, job(job_id, state))
    other = dataclasses.replace(job("4"), kind="other", subject="birds")
    add(store, other)

    def ids(wanted: JobFilter, before: str = "", limit: int = 10) -> list[str]:
        return [found.id for found in store.newest(wanted, before, limit)]

    assert ids(JobFilter()) == ["4", "3", "2", "1"]
    assert ids(JobFilter(), before="3", limit=1) == ["2"]
    assert ids(JobFilter(states=frozenset({JobState.QUEUED}))) == ["4", "3", "1"]
    assert ids(JobFilter(kind="kind", states=frozenset({JobState.QUEUED}))) == ["3", "1"]
    assert ids(JobFilter(subject="birds")) == ["4"]
    assert [found.id for found in store.oldest(JobState.QUEUED, 2)] == ["1", "3"]
    assert [found.id for found in store.oldest(JobState.QUEUED)] == ["1", "3", "4"]
    assert store.count(JobState.RUNNING) == 1


def test_a_repeated_request_writes_nothing_and_another_write_with_it_is_refused(store: DatabaseJobs) -> None:
    first = add(store, job("1"), "r")
    assert add(store, job("2"), "r") == first
    assert store.repeated("r", "kind", "flowers") == first
    assert store.repeated("s", "kind", "flowers") is None
    assert store.repeated("", "kind", "flowers") is None
    with pytest.raises(InvalidArgument) as refused:
        store.repeated("r", "kind", "birds")
    assert refused.value.reason == "REQUEST_ID_REUSED"

    def log(before: Job) -> JobChange:
        return JobChange(before, (LogLine("info", "once"),))

    again = [store.update("1", log, 3.0, method="cancel", request_id="c") for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(InvalidArgument):
        store.update("1", log, 3.0, method="resume", request_id="c")


def test_delete(store: DatabaseJobs) -> None:
    add(store, job("1"))
    with pytest.raises(FailedPrecondition):
        store.delete("1")
    add(store, job("2", JobState.FAILED, ended=5.0))
    store.delete("2", "d")
    store.delete("2", "d")
    with pytest.raises(NotFound):
        store.events("2", 0, 10)
    with pytest.raises(NotFound):
        store.delete("2", "e")


def test_expiry_is_by_number_and_by_age_and_spares_what_has_not_ended(store: DatabaseJobs) -> None:
    add(store, job("0"))
    for number in range(1, 7):
        add(store, job(str(number), JobState.FAILED, ended=float(number)))
    assert store.expire(keep=4, ended_before=0.0) == ["1", "2"]
    assert store.expire(keep=4, ended_before=5.0) == ["3", "4"]
    assert store.expire(keep=4, ended_before=5.0) == []
    assert store.expire(keep=0, ended_before=0.0) == ["5", "6"]
    assert [found.id for found in store.newest(JobFilter(), "", 10)] == ["0"]
