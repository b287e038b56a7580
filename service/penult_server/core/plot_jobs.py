"""Use case: what a job has measured so far, as a picture and in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from penult_server.core.errors import FailedPrecondition
from penult_server.core.finetune import CURVES, TRAINING
from penult_server.core.finetune_ports import CurvePlots, JobPlot
from penult_server.core.job_ports import JobDirectories
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs
from penult_server.core.model_ports import Artifacts

Plot = Callable[[Job, Path], JobPlot | None]
"""Draws a job of one kind from its directory, which may be gone; None where nothing is measured. Blocking."""


class PlotJobs:
    """Draws jobs of the kinds that have curves."""

    def __init__(self, jobs: ManageJobs, directories: JobDirectories, plots: Mapping[str, Plot]) -> None:
        """`plots` by kind."""
        self._jobs = jobs
        self._directories = directories
        self._plots = plots

    async def plot(self, job_id: str) -> JobPlot:
        """Its curves so far.

        Raises:
            NotFound: no such job.
            FailedPrecondition: NO_CURVES, a kind without any, or nothing is measured yet, or it is gone.
        """
        job = await self._jobs.get(job_id)
        plot = self._plots.get(job.kind)
        if plot is None:
            raise FailedPrecondition(
                "NO_CURVES",
                f"a job of kind {job.kind!r} has no curves",
                hint=f"jobs of kind {', '.join(sorted(self._plots))} have",
            )
        found = await asyncio.to_thread(plot, job, self._directories.path(job.id))
        if found is None:
            raise FailedPrecondition(
                "NO_CURVES",
                f"job {job.id} has measured nothing yet, or what it made was deleted",
                hint="try again once it trains",
            )
        return found


class PlotTraining:
    """The curves of fine-tuning: of a model that is there, else of the job's directory."""

    def __init__(self, plots: CurvePlots, artifacts: Artifacts) -> None:
        """`artifacts` has the files of models, under the ids of jobs."""
        self._plots = plots
        self._artifacts = artifacts

    def __call__(self, job: Job, directory: Path) -> JobPlot | None:
        """See Plot."""
        published, training = self._artifacts.path(job.id) / CURVES, directory / TRAINING / CURVES
        return self._plots.plot(published if published.exists() else training)
