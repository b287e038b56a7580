"""Use case: train a head on the features of a dataset; the three parts of its job that the server does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.dataset_features import DatasetFeatures, FeatureTable
from penult_server.core.dataset_ports import DatasetSnapshots
from penult_server.core.describe_backbones import DescribeBackbones
from penult_server.core.evidence import Evidence, from_json
from penult_server.core.extract import check_scales
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.model_ports import Artifacts, Heads, ModelStore
from penult_server.core.models import Lineage, ModelKind, NewVersion, version_as_result
from penult_server.core.names import check_name
from penult_server.core.preprocess import PLAIN, TestTimeAugmentation
from penult_server.core.snapshot import Snapshot, content_sha256, read_examples
from penult_server.core.trainable import trainable

KIND = "train_head"
DEFAULT_HEAD = "logistic_regression"
HEAD_DIRECTORY = "head"
"""Where the worker leaves the head's files, in the job's directory."""


@dataclasses.dataclass(frozen=True, slots=True)
class HeadTraining:
    """What a caller wants. `parameters` are the head's; "" stands for the default head and backbone."""

    name: str
    dataset: str
    head: str = ""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    backbone: str = ""
    augment: TestTimeAugmentation = PLAIN
    request_id: str = ""


class TrainHead:
    """Starts the jobs, and does what needs the device and the store."""

    def __init__(
        self,
        jobs: ManageJobs,
        snapshots: DatasetSnapshots,
        backbones: DescribeBackbones,
        heads: Heads,
        features: DatasetFeatures,
        models: ModelStore,
        artifacts: Artifacts,
        *,
        device: str,
        code_version: str,
    ) -> None:
        """`device` is what solvers may use, "cpu" or "cuda"; `code_version` goes into the lineage."""
        self._jobs = jobs
        self._snapshots = snapshots
        self._backbones = backbones
        self._heads = heads
        self._features = features
        self._models = models
        self._artifacts = artifacts
        self._device = device
        self._code_version = code_version

    async def start(self, wanted: HeadTraining) -> Job:
        """Queues the job, after every check that can be made without features.

        Raises:
            InvalidArgument: a bad name, an unknown head, an unknown or wrong parameter.
            NotFound: no such dataset or backbone.
            FailedPrecondition: DATASET_EMPTY, NO_LABELS, NO_TRAINING_EXAMPLES, ONE_CLASS.
            ResourceExhausted: too many jobs wait, or the disk is full.
        """
        check_name(wanted.name, "name")
        check_scales(wanted.augment, "augment.scales")
        head = wanted.head or DEFAULT_HEAD
        parameters = {
            "head": head,
            "parameters": self._heads.validate(head, wanted.parameters),
            "backbone": (await self._backbones.get(wanted.backbone)).summary.name,
            "augment": dataclasses.asdict(plain_first(wanted.augment)),
            "device": self._device,
        }

        def prepare(directory: Path) -> None:
            self._models.check_room(wanted.name)
            self._snapshots.take(wanted.dataset, directory)
            trainable(read_examples(directory))

        return await self._jobs.submit(NewJob(KIND, wanted.name, parameters, prepare, wanted.request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> None:
        """Writes the features that the worker trains on; see core.job_ports.Stage."""
        # Off the event loop: there may be a hundred thousand.
        examples = await asyncio.to_thread(lambda: trainable(read_examples(directory)).examples)
        augment = _augmentation(job.parameters["augment"])
        await self._features.collect(directory, examples, job.parameters["backbone"], report, augment=augment)

    def publish(self, job: Job, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Makes the head a version of its model; see core.job_ports.Publish."""

        def make() -> NewVersion:
            snapshot, table = Snapshot.read(directory), FeatureTable.read(directory)
            lineage = Lineage(
                dataset=snapshot.dataset,
                dataset_revision=snapshot.revision,
                example_count=snapshot.count,
                dataset_sha256=content_sha256(directory),
                backbone=table.backbone,
                fingerprint=table.fingerprint,
                head=job.parameters["head"],
                parameters=job.parameters["parameters"],
                augment=augmentation_word(_augmentation(job.parameters["augment"])),
                code_version=self._code_version,
                job=job.id,
            )
            return NewVersion(
                kind=ModelKind.HEAD,
                labels=tuple(result["labels"]),
                multi_label=result["multi_label"],
                threshold=result["threshold"],
                lineage=lineage,
                evidence=from_json(Evidence, result["evidence"]),
                artifact=job.id,
                size_bytes=self._artifacts.add(job.id, directory / HEAD_DIRECTORY),
            )

        version = self._models.publish(job.subject, job.id, make)
        return version_as_result(version)


def plain_first(augment: TestTimeAugmentation) -> TestTimeAugmentation:
    """The same with the plain view in front: everything is measured with it."""
    return dataclasses.replace(augment, scales=tuple(dict.fromkeys((1.0, *augment.scales))))


def augmentation_word(augment: TestTimeAugmentation) -> str:
    """In the words of the SDK, such as "flip+five_crop"; "" for one plain view."""
    scales = ", ".join(f"{scale:g}" for scale in augment.scales)
    parts = (
        (augment.flip, "flip"),
        (augment.five_crops, "five_crop"),
        (len(augment.scales) > 1, f"scales ({scales})"),
    )
    return "+".join(word for applies, word in parts if applies)


def _augmentation(values: Mapping[str, Any]) -> TestTimeAugmentation:
    return TestTimeAugmentation(**{**values, "scales": tuple(values["scales"])})
