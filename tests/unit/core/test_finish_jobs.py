from __future__ import annotations

from pathlib import Path

import pytest

from penult_server.core.errors import FailedPrecondition
from penult_server.core.finish_jobs import FINISH, FinishJobs
from penult_server.core.jobs import JobState
from tests.job_lab import lab


async def test_a_job_is_asked_to_finish_and_queued_again_for_that(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        finish = FinishJobs(house.jobs, house.directories, ["count"])
        job = await house.submit("count", steps=10_000, seconds=0.05)
        await house.until(job, lambda now: now.state is JobState.RUNNING)
        assert (await finish.finish(job.id, "")).state is JobState.RUNNING
        assert (house.directories.path(job.id) / FINISH).exists()
        await house.jobs.cancel(job.id, "")
        await house.ended(job)
        assert (await finish.finish(job.id, "")).state is JobState.QUEUED
        await house.jobs.cancel(job.id, "")


async def test_other_kinds_have_nothing_to_show_before_their_end(tmp_path: Path) -> None:
    async with lab(tmp_path) as house:
        job = await house.submit("once")
        with pytest.raises(FailedPrecondition) as refused:
            await FinishJobs(house.jobs, house.directories, ["count"]).finish(job.id, "")
        assert refused.value.reason == "JOB_NOT_FINISHABLE"
        await house.jobs.cancel(job.id, "")
