"""The part of a job that is done inside the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from penult_server.core.errors import FailedPrecondition
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job, JobState, LogLine, Progress, StateChange
from tests.job_kinds import as_result
from tests.job_lab import lab

Result = Mapping[str, Any] | None


async def test_a_stage_with_a_result_needs_no_worker(tmp_path: Path) -> None:
    async def stage(job: Job, directory: Path, report: Report) -> Result:
        for done in range(200):  # more than may wait
            await report([Progress(done + 1, 200, "items", "stage"), LogLine("info", f"item {done}")])
        (directory / "made").write_text(str(job.parameters["steps"]))
        return as_result((directory / "made").read_text())

    async with lab(tmp_path, stages={"stage": stage}) as house:
        job = await house.submit("stage", steps=7)
        bodies = [event.body for event in await house.events(job)]
        done = await house.jobs.get(job.id)
        assert (done.state, done.result) == (JobState.SUCCEEDED, as_result("7"))
        lines = [body.text for body in bodies if isinstance(body, LogLine)]
        assert lines == [f"item {number}" for number in range(200)]
        await house.cleared()


async def test_a_stage_without_one_prepares_the_work_of_the_worker(tmp_path: Path) -> None:
    async def stage(job: Job, directory: Path, report: Report) -> Result:
        await report([LogLine("info", "prepared")])
        (directory / "count").write_text("2")
        return None

    async with lab(tmp_path, stages={"count": stage}) as house:
        bodies = [event.body for event in await house.events(await house.submit("count", steps=3))]
        lines = [body.text for body in bodies if isinstance(body, LogLine)]
        assert lines == ["prepared", "from 2 to 3"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FailedPrecondition("ONE_CLASS", "only one class", hint="add another"), "ONE_CLASS"),
        (MemoryError(), "OUT_OF_MEMORY"),
        (OSError(28, "no space"), "DISK_FULL"),
        (ZeroDivisionError("division"), "JOB_CRASHED"),
    ],
)
async def test_what_a_stage_raises_becomes_the_error(tmp_path: Path, error: Exception, reason: str) -> None:
    async def stage(job: Job, directory: Path, report: Report) -> Result:
        raise error

    async with lab(tmp_path, stages={"once": stage}) as house:
        job = await house.submit("once")
        bodies = [event.body for event in await house.events(job)]
        failed = await house.jobs.get(job.id)
        assert failed.error is not None
        assert (failed.state, failed.error.reason) == (JobState.FAILED, reason)
        traces = [body for body in bodies if isinstance(body, LogLine) and "Traceback" in body.text]
        assert bool(traces) == (reason == "JOB_CRASHED")


async def test_cancel_ends_a_stage_and_a_drain_interrupts_it(tmp_path: Path) -> None:
    runs: list[str] = []

    async def stage(job: Job, directory: Path, report: Report) -> Result:
        runs.append(job.id)
        await report([Progress(0, 1, phase="wait")])
        if runs.count(job.id) == 1:
            await asyncio.sleep(600)
        return as_result("again")

    async with lab(tmp_path, max_workers=2, stages={"stage": stage}) as house:
        cancelled, interrupted = await house.submit("stage"), await house.submit("stage")
        for job in (cancelled, interrupted):
            await house.until(job, lambda now: now.progress)
        await house.jobs.cancel(cancelled.id, "")
        assert (await house.ended(cancelled)).state is JobState.CANCELLED
    async with lab(tmp_path, stages={"stage": stage}) as house:
        bodies = [event.body for event in await house.events(interrupted)]
        states = [body.state for body in bodies if isinstance(body, StateChange)]
        assert states == [
            JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED,
            JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED,
        ]  # fmt: skip
        assert runs.count(cancelled.id) == 1
