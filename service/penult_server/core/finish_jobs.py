"""Use case: end a training early, with the best that it has as its result."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from penult_server.core.errors import FailedPrecondition
from penult_server.core.job_ports import JobDirectories
from penult_server.core.jobs import Job, JobState
from penult_server.core.manage_jobs import ManageJobs

FINISH = "finish"
"""A file of this name in a job's directory asks its worker to come to an end."""


class FinishJobs:
    """Asks jobs of the kinds that can to finish."""

    def __init__(self, jobs: ManageJobs, directories: JobDirectories, kinds: Collection[str]) -> None:
        """`kinds` look for the file FINISH."""
        self._jobs = jobs
        self._directories = directories
        self._kinds = kinds

    async def finish(self, job_id: str, request_id: str) -> Job:
        """The job; one that has failed or was cancelled is queued again, to finish.

        Raises:
            NotFound: no such job.
            FailedPrecondition: JOB_NOT_FINISHABLE.
        """
        job = await self._jobs.get(job_id)
        if job.kind not in self._kinds:
            raise FailedPrecondition(
                "JOB_NOT_FINISHABLE",
                f"a job of kind {job.kind!r} has nothing to show before its end",
                hint="cancel it, or wait",
            )
        if job.state is JobState.SUCCEEDED:
            return job
        await asyncio.to_thread(_ask, self._directories.path(job_id))
        if job.state in (JobState.FAILED, JobState.CANCELLED):
            return await self._jobs.resume(job_id, request_id)
        return job


def _ask(directory: Path) -> None:
    if directory.is_dir():  # else it has ended meanwhile
        (directory / FINISH).touch()
