"""The runner with real workers and a real database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from penult_server.core.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from penult_server.core.job_ports import JobFilter
from penult_server.core.jobs import Job, JobState, LogLine, Metrics, Progress, StateChange
from penult_server.core.manage_jobs import NewJob
from penult_server.core.run_jobs import MAX_LOSSES, Retention
from tests.job_kinds import as_result, saved_count
from tests.job_lab import Lab, lab


async def test_a_job_succeeds_and_tells_its_story_in_numbered_events(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.submit("count", steps=3)
        assert job.state is JobState.QUEUED
        events = await house.events(job)
        done = await house.jobs.get(job.id)
        assert done.state is JobState.SUCCEEDED
        assert done.result == as_result("counted to 3")
        assert done.error is None
        assert [event.number for event in events] == list(range(1, done.last_event + 1))
        bodies = [event.body for event in events]
        states = [body.state for body in bodies if isinstance(body, StateChange)]
        assert states == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
        assert LogLine("info", "from 0 to 3") in bodies
        last = [body for body in bodies if isinstance(body, Progress)][-1]
        assert (last.done, last.total, last.unit, last.phase) == (3, 3, "steps", "count")
        assert Metrics({"done": 3, "half": 1.5}, 3) in bodies
        assert done.metrics == {"done": 3, "half": 1.5}
        await house.cleared()
        later = await house.events(job, after=events[3].number)
        assert later == events[4:]
        assert house.reported == []


@pytest.mark.parametrize(
    ("kind", "reason", "says"),
    [
        ("refuse", "ONE_CLASS", "only one class"),
        ("fault", "JOB_CRASHED", "ZeroDivisionError"),
        ("memory", "OUT_OF_MEMORY", "memory"),
        ("full", "DISK_FULL", "disk"),
    ],
)
async def test_what_a_kind_raises_becomes_the_error(
    tmp_path: Path, kind: str, reason: str, says: str
) -> None:
    async with lab(tmp_path) as house:
        job = await house.ended(await house.submit(kind))
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error.reason == reason
        assert says in job.error.message
        assert job.error.hint
        assert job.result is None
        await house.cleared()


def limit(house: Lab, pages: int) -> None:
    """Lets the database have no more pages than that: a full disk, as SQLite says it."""
    with contextlib.ExitStack() as stack:
        for _ in range(5):  # every connection of the pool
            connection = stack.enter_context(house.database.read())
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


async def test_a_full_disk_under_the_database_ends_the_job_once_there_is_room_to_say_so(
    tmp_path: Path,
) -> None:
    async with lab(tmp_path, max_events=100_000) as house:
        job = await house.submit("full", talk=True)
        await house.until(job, lambda now: now.state is JobState.RUNNING)
        limit(house, 1)  # as many as it has
        # The end may fit where the events did not; else it waits for room.
        while not house.reported and not (await house.jobs.get(job.id)).state.ended:
            await asyncio.sleep(0.02)
        limit(house, 1 << 30)
        ended = await house.ended(job)
        assert ended.error is not None
        assert ended.error.reason == "DISK_FULL"
        await house.cleared()
        assert (await house.ended(await house.submit("once"))).state is JobState.SUCCEEDED


async def test_what_libraries_print_and_the_traceback_are_log_lines(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        bodies = [event.body for event in await house.events(await house.submit("fault"))]
        lines = [body for body in bodies if isinstance(body, LogLine)]
        assert {"printed to standard output", "printed to standard error"} <= {line.text for line in lines}
        assert any(line.level == "error" and "ZeroDivisionError" in line.text for line in lines)


async def test_jobs_run_in_order_and_no_more_than_there_are_workers(tmp_path: Path) -> None:
    async with lab(tmp_path, max_workers=2) as house:
        jobs = [await house.submit("once", seconds=0.5) for _ in range(4)]
        most = 0
        while not all([(await house.jobs.get(job.id)).state.ended for job in jobs]):
            most = max(most, house.store.count(JobState.RUNNING))
            await asyncio.sleep(0.02)
        assert most == 2
        started = [(await house.jobs.get(job.id)).started for job in jobs]
        assert started == sorted(started, key=lambda at: at or 0)


async def test_a_worker_killed_again_and_again_fails_its_job_and_the_next_one_runs(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        lost, following = await house.submit("killed"), await house.submit("once")
        events = await house.events(lost)
        states = [event.body.state for event in events if isinstance(event.body, StateChange)]
        run = [JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED]
        assert states == run * MAX_LOSSES + [JobState.FAILED]
        error = (await house.jobs.get(lost.id)).error
        assert error is not None
        assert error.reason == "WORKER_KILLED"
        assert "memory" in error.message
        assert (await house.ended(following)).state is JobState.SUCCEEDED


async def test_a_hung_worker_is_ended(tmp_path: Path) -> None:
    async with lab(tmp_path, silence_seconds=3) as house:
        job = await house.ended(await house.submit("silent"))
        assert job.error is not None
        assert job.error.reason == "WORKER_SILENT"


async def test_cancel_of_a_waiting_job_is_immediate_and_of_a_running_one_ends_it(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        running = await house.submit("once", seconds=600)
        waiting = await house.submit("once")
        await house.until(running, lambda job: job.progress)
        assert (await house.jobs.cancel(waiting.id, "")).state is JobState.CANCELLED
        first = await house.jobs.cancel(running.id, "")
        assert (first.state, first.cancelling) == (JobState.RUNNING, True)
        done = await house.ended(running, seconds=10)
        assert done.state is JobState.CANCELLED
        assert done.error is not None
        assert done.error.reason == "JOB_CANCELLED"
        assert not done.cancelling
        assert (await house.jobs.cancel(running.id, "")) == done
        await house.cleared()


async def test_cancel_ends_a_worker_that_ignores_sigterm_and_all_its_children(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.submit("stubborn")
        async for event in house.jobs.watch(job.id, 0):
            if isinstance(event.body, LogLine):
                break
        child = int(event.body.text.split()[1])  # type: ignore[union-attr]
        await house.jobs.cancel(job.id, "")
        assert (await house.ended(job, seconds=10)).state is JobState.CANCELLED
        assert is_gone(child)


def is_gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


async def test_a_cancelled_resumable_job_goes_on_where_it_was(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.submit("count", steps=40, seconds=0.05)
        await house.until(job, lambda now: now.metrics.get("done", 0) > 2)
        await house.jobs.cancel(job.id, "")
        cancelled = await house.ended(job)
        had = saved_count(house.directories.path(job.id))
        assert cancelled.state is JobState.CANCELLED
        assert 2 < had < 40
        await house.jobs.resume(job.id, "again")
        events = await house.events(job, after=cancelled.last_event)
        assert LogLine("info", f"from {had} to 40") in [event.body for event in events]
        done = await house.jobs.get(job.id)
        assert (done.state, done.error) == (JobState.SUCCEEDED, None)
        assert await house.jobs.resume(job.id, "again") == done  # a repeat of that call resumes nothing
        with pytest.raises(FailedPrecondition) as refused:
            await house.jobs.resume(job.id, "another")
        assert refused.value.reason == "JOB_STATE_MISMATCH"


async def test_what_cannot_go_on_is_not_resumed(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.ended(await house.submit("refuse"))
        with pytest.raises(FailedPrecondition) as refused:
            await house.jobs.resume(job.id, "")
        assert refused.value.reason == "JOB_NOT_RESUMABLE"


async def test_a_server_that_drains_interrupts_and_the_next_one_goes_on_or_fails(tmp_path: Path) -> None:
    async with lab(tmp_path, max_workers=2) as house:
        counting = await house.submit("count", steps=60, seconds=0.05)
        other = await house.submit("once", seconds=600)
        await house.until(counting, lambda now: now.metrics.get("done", 0) > 2)
        await house.until(other, lambda now: now.progress)
        watching = asyncio.create_task(house.events(counting))
        await asyncio.sleep(0.1)
    with pytest.raises(Unavailable):
        await watching
    async with lab(tmp_path, max_workers=2) as house:
        failed = await house.jobs.get(other.id)
        assert failed.state is JobState.FAILED
        assert failed.error is not None
        assert failed.error.reason == "SERVER_ENDED"
        bodies = [event.body for event in await house.events(counting)]
        states = [body.state for body in bodies if isinstance(body, StateChange)]
        assert states == [
            JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED,
            JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED,
        ]  # fmt: skip


async def test_publish_runs_before_the_success_shows_and_its_refusal_is_the_error(tmp_path: Path) -> None:
    seen: list[tuple[JobState, Mapping[str, Any]]] = []

    def keep(job: Job, directory: Path, made: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (directory / "trace").exists()
        seen.append((job.state, made))
        if job.parameters["steps"] == 2:
            raise FailedPrecondition("TAKEN", "the name is taken", hint="choose another")
        return as_result("published")

    async with lab(tmp_path, publish={"count": keep}) as house:
        good = await house.ended(await house.submit("count", steps=1))
        bad = await house.ended(await house.submit("count", steps=2))
    assert good.result == as_result("published")
    assert seen[0] == (JobState.RUNNING, as_result("counted to 1"))
    assert bad.error is not None
    assert bad.error.reason == "TAKEN"


async def test_a_repeated_submission_is_the_same_job(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        first = await house.submit("once", "r1")
        assert (await house.submit("once", "r1")).id == first.id
        assert (await house.submit("once", "r2")).id != first.id
        await house.ended(first)
        assert (await house.submit("once", "r1")).id == first.id


async def test_too_many_waiting_jobs_are_refused_with_a_delay(tmp_path: Path) -> None:
    async with lab(tmp_path, max_queued=2) as house:
        await house.until(await house.submit("once", seconds=600), lambda now: now.state is JobState.RUNNING)
        for _ in range(2):
            await house.submit("once")
        with pytest.raises(ResourceExhausted) as refused:
            await house.submit("once")
        assert refused.value.retry_after
        assert len(house.directories.all_ids()) == 3


async def test_input_that_cannot_be_written_leaves_no_job(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("x")
        raise NotFound("DATASET_NOT_FOUND", "gone")

    async with lab(tmp_path) as house:
        with pytest.raises(NotFound):
            await house.jobs.submit(NewJob("once", "subject", {}, fail))
        assert house.directories.all_ids() == []
        assert (await house.jobs.list(JobFilter(), 0, "")).items == []


async def test_ended_jobs_expire_and_their_directories_with_them(tmp_path: Path) -> None:
    async with lab(tmp_path, retention=Retention(2, 3600.0)) as house:
        jobs = [await house.ended(await house.submit("killed"))]
        await house.cleared(jobs[0].id)  # resumable, so it keeps what it has
        jobs += [await house.ended(await house.submit("once")) for _ in range(2)]
        await house.cleared()
        kept = (await house.jobs.list(JobFilter(), 0, "")).items
        assert [job.id for job in kept] == [job.id for job in reversed(jobs[1:])]


async def test_a_directory_without_a_job_is_cleared_at_start(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "orphan").mkdir(parents=True)
    async with lab(tmp_path) as house:
        assert house.directories.all_ids() == []


async def test_delete_is_for_what_has_ended_and_ends_watching(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.submit("once", seconds=600)
        with pytest.raises(FailedPrecondition):
            await house.jobs.delete(job.id, "d")
        await house.jobs.cancel(job.id, "")
        await house.ended(job)
        await house.jobs.delete(job.id, "d")
        await house.jobs.delete(job.id, "d")
        for call in (house.jobs.get(job.id), house.events(job), house.jobs.delete(job.id, "e")):
            with pytest.raises(NotFound):
                await call


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="needs Linux")
async def test_the_kernel_would_rather_end_a_worker_than_the_server(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.submit("once", seconds=600)
        await house.until(job, lambda now: now.progress)
        (pid,) = children()
        own, its = (int(Path(f"/proc/{who}/oom_score_adj").read_text()) for who in ("self", pid))
        assert its > own
        os.kill(pid, signal.SIGKILL)
        error = (await house.ended(job)).error
        assert error is not None
        assert error.reason == "WORKER_KILLED"


def children() -> list[int]:
    """Workers of this process."""
    tasks = Path("/proc/self/task").iterdir()
    pids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in pids if b"engine.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()]
