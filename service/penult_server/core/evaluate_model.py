"""Use case: measure a model on a split of a dataset; the parts of its job that the server does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penult_server.core.classifier import Leaf, check_fingerprint, leaves
from penult_server.core.dataset_features import DatasetFeatures
from penult_server.core.dataset_ports import DatasetSnapshots
from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.model_ports import Artifacts, ModelStore
from penult_server.core.models import ModelReference
from penult_server.core.snapshot import SnapshotExample, read_examples

KIND = "evaluate_model"


@dataclasses.dataclass(frozen=True, slots=True)
class EvaluateModel:
    """Starts the jobs, and computes the features that they need."""

    jobs: ManageJobs
    snapshots: DatasetSnapshots
    features: DatasetFeatures
    models: ModelStore
    artifacts: Artifacts

    async def start(self, reference: ModelReference, dataset: str, split: Split, request_id: str) -> Job:
        """Queues the job; it works on the model and the dataset as they are now.

        Raises:
            NotFound: no such model or dataset.
            FailedPrecondition: DATASET_EMPTY; NOTHING_TO_EVALUATE, no image of the split has a label that
                the model knows.
            DataLoss: MODEL_DAMAGED.
            ResourceExhausted: too many jobs wait, or the disk is full.
        """
        version = await asyncio.to_thread(self.models.resolve, reference)
        found = await asyncio.to_thread(lambda: list(leaves(version, self.models)))
        parameters = {
            "model": version.reference,
            "split": split.value,
            "labels": list(version.labels),
            "multi_label": version.multi_label,
            "threshold": version.threshold,
            "heads": [_head(number, leaf, found) for number, leaf in enumerate(found)],
        }

        def prepare(directory: Path) -> None:
            self.snapshots.take(dataset, directory)
            known = set(version.labels)
            if not any(known.intersection(example.labels) for example in of_split(directory, split)):
                raise FailedPrecondition(
                    "NOTHING_TO_EVALUATE",
                    f"no image in split {split.value} of dataset {dataset!r} has a label that "
                    f"{version.reference} knows",
                    hint="choose another split or dataset",
                )
            for number, leaf in enumerate(found):
                self.artifacts.link(leaf.version.artifact, head_directory(directory, number))

        return await self.jobs.submit(NewJob(KIND, version.model, parameters, prepare, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> None:
        """Writes the features that the worker measures on; see core.job_ports.Stage."""
        examples = await asyncio.to_thread(of_split, directory, Split(job.parameters["split"]))
        for head in job.parameters["heads"]:
            table = await self.features.collect(
                directory, examples, head["backbone"], report, name=head["features"]
            )
            check_fingerprint(job.parameters["model"], table.backbone, head["fingerprint"], table.fingerprint)


def of_split(directory: Path, split: Split) -> list[SnapshotExample]:
    """The examples of a snapshot to measure on."""
    return [example for example in read_examples(directory) if example.split is split]


def head_directory(directory: Path, number: int) -> Path:
    """Where the files of a head are, in the job's directory."""
    return directory / f"head-{number}"


def _head(number: int, leaf: Leaf, every: Sequence[Leaf]) -> dict[str, Any]:
    """What the job has to know of a head. Those with the same backbone share their features."""
    first = next(n for n, other in enumerate(every) if other.lineage.backbone == leaf.lineage.backbone)
    return {
        "backbone": leaf.lineage.backbone,
        "fingerprint": leaf.lineage.fingerprint,
        "share": leaf.share,
        "features": f"features-{first}",
    }
