"""Use case: start the analysis of a dataset."""

from __future__ import annotations

import dataclasses
import functools

from penult_server.core.dataset_ports import DatasetSnapshots
from penult_server.core.images import ImageLimits
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob

KIND = "analyze_dataset"


@dataclasses.dataclass(frozen=True, slots=True)
class AnalyzeDataset:
    """Counts, unreadable and tiny images, duplicates: a job on a snapshot."""

    jobs: ManageJobs
    snapshots: DatasetSnapshots
    limits: ImageLimits

    async def run(self, name: str, request_id: str) -> Job:
        """Starts the job. Raises NotFound, FailedPrecondition for an empty dataset, ResourceExhausted."""
        prepare = functools.partial(self.snapshots.take, name)
        limits = dataclasses.asdict(self.limits)
        return await self.jobs.submit(NewJob(KIND, name, {"limits": limits}, prepare, request_id))
