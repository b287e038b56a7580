"""Use case: fine-tune a backbone on a dataset; what the server does before and after the training."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.dataset_ports import DatasetSnapshots, DatasetStore
from penult_server.core.datasets import Split
from penult_server.core.describe_backbones import DescribeBackbones
from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.finetune import KIND, divide
from penult_server.core.finetune_ports import DrawnSchedule, FineTuneRecipes
from penult_server.core.images import ImageLimits
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.model_ports import Artifacts, ModelStore
from penult_server.core.models import ModelKind, ModelReference, version_as_result
from penult_server.core.names import check_name
from penult_server.core.own_backbones import StoredBackbones, model_of, own_backbone
from penult_server.core.publish_finetuned import PublishFineTuned
from penult_server.core.snapshot import Snapshot, read_examples

_OWN = "own_backbone"
"""Where the weights that training starts from are, in the job's directory, if they are a model's."""


@dataclasses.dataclass(frozen=True, slots=True)
class FineTuning:
    """What a caller wants. "" stands for the default backbone; `init_from` for no earlier model."""

    name: str
    dataset: str
    backbone: str = ""
    init_from: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    request_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A fine-tuning that was checked. `parameters` are those of the job kind; `parent` as in Lineage."""

    wanted: FineTuning
    parameters: Mapping[str, Any]
    architecture: str

    @property
    def parent(self) -> str:
        """The version whose backbone training starts from, "NAME@VERSION"; "" for none."""
        return str(self.parameters["parent"])


class FineTune:
    """Starts the jobs, and publishes what they made."""

    def __init__(
        self,
        jobs: ManageJobs,
        snapshots: DatasetSnapshots,
        datasets: DatasetStore,
        backbones: DescribeBackbones,
        recipes: FineTuneRecipes,
        models: ModelStore,
        artifacts: Artifacts,
        publisher: PublishFineTuned,
        *,
        catalog: Mapping[str, Any],
        limits: ImageLimits,
        device: str,
        rendezvous: str,
    ) -> None:
        """`catalog` is how a worker opens one; `device` is what it may train on, "cpu" or "cuda".

        `rendezvous` is where other machines join a training, HOST:PORT; "" where none can.
        """
        self._jobs = jobs
        self._snapshots = snapshots
        self._datasets = datasets
        self._backbones = backbones
        self._recipes = recipes
        self._models = models
        self._artifacts = artifacts
        self._own = StoredBackbones(models, artifacts)
        self._publisher = publisher
        self._catalog = catalog
        self._limits = limits
        self._device = device
        self._rendezvous = rendezvous

    async def start(self, wanted: FineTuning) -> Job:
        """Queues the job, after every check that can be made without looking at an image.

        Raises:
            InvalidArgument: a bad name, an unknown or wrong setting, optimiser, schedule or layer.
            NotFound: no such dataset, backbone or model.
            FailedPrecondition: the dataset cannot be trained on, see core.finetune.divide; SET_TOO_SMALL,
                NO_RENDEZVOUS, INIT_FROM_ENSEMBLE or NO_OWN_BACKBONE.
            DataLoss: the earlier model's files are damaged.
            ResourceExhausted: too many jobs wait, or the disk is full.
        """
        plan = await self.plan(wanted)
        return await self._jobs.submit(
            NewJob(
                KIND, wanted.name, plan.parameters,
                lambda directory: self.prepare(plan, directory), wanted.request_id,
            )
        )  # fmt: skip

    async def plan(self, wanted: FineTuning) -> Plan:
        """Checks all that needs no dataset. Raises as `start` does."""
        check_name(wanted.name, "name")
        settings = await asyncio.to_thread(self._recipes.validate, wanted.settings)
        if settings["nodes"] > 1 and not self._rendezvous:
            raise FailedPrecondition(
                "NO_RENDEZVOUS",
                f"nodes is {settings['nodes']}, and no other machine can join a training of this server",
                hint="set rendezvous in the server's settings, or leave nodes out",
            )
        backbone, parent = await asyncio.to_thread(self._start_of, wanted)
        found = await self._backbones.get(backbone)
        assert found.facts is not None, "a description has facts"
        name = found.facts.name
        reference = model_of(name)
        own = {} if reference is None else {name: _OWN}
        if not wanted.init_from and reference is not None and settings["start"] != "random":
            parent = str(reference)
        parameters = {
            "backbone": name,
            "settings": settings,
            "catalog": {**self._catalog, "own": own},
            "limits": dataclasses.asdict(self._limits),
            "device": self._device,
            "rendezvous": self._rendezvous,
            "parent": parent,
        }
        return Plan(wanted, parameters, found.facts.architecture)

    def prepare(self, plan: Plan, directory: Path) -> None:
        """Puts into the job's directory what training works on, and checks it. Raises as `start` does."""
        settings = plan.parameters["settings"]
        self._models.check_room(plan.wanted.name)
        for name, folder in plan.parameters["catalog"]["own"].items():
            if own := self._own.find(name):
                self._artifacts.link(own.revision, directory / folder)
        self._snapshots.take(plan.wanted.dataset, directory)
        division = divide(
            Snapshot.read(directory),
            list(read_examples(directory)),
            (),
            validation_share=settings["validation_share"],
            seed=settings["seed"],
        )
        self._recipes.check(settings, plan.architecture, len(division.train))

    async def draw(self, settings: Mapping[str, Any], dataset: str) -> DrawnSchedule:
        """The learning rate of every step, before any is made. Raises InvalidArgument, NotFound."""
        complete = await asyncio.to_thread(self._recipes.validate, settings)
        found = await asyncio.to_thread(self._datasets.get, dataset)
        counts = found.counts
        images = counts.get(Split.TRAIN, 0) or counts.get(Split.UNASSIGNED, 0)
        if not images:
            raise FailedPrecondition(
                "NO_TRAINING_EXAMPLES", f"dataset {dataset!r} has no training images", hint="upload some"
            )
        if not counts.get(Split.VALIDATION, 0):
            images = max(1, round(images * (1 - complete["validation_share"])))
        return await asyncio.to_thread(self._recipes.draw, complete, images)

    def publish(self, job: Job, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Makes the result a version of its model; see core.job_ports.Publish."""
        parent = job.parameters["parent"]
        return version_as_result(self._publisher.publish(job.subject, job.id, directory, result, parent))

    def _start_of(self, wanted: FineTuning) -> tuple[str, str]:
        """The backbone to start from, and the version that `init_from` means, "" without. Blocking."""
        if not wanted.init_from:
            return wanted.backbone, ""
        if wanted.backbone:
            raise InvalidArgument(
                "TWO_STARTS",
                "backbone and init_from both say where training starts",
                field="init_from",
                hint="leave one of them out",
            )
        if wanted.settings.get("start") == "random":
            raise InvalidArgument(
                "TWO_STARTS",
                "start='random' and init_from both say where training starts",
                field="init_from",
                hint="leave one of them out",
            )
        version = self._models.resolve(ModelReference.parse(wanted.init_from, "init_from"))
        if version.kind is ModelKind.FINE_TUNED:
            return own_backbone(version.model, version.version), version.reference
        if version.lineage is None:
            raise FailedPrecondition(
                "INIT_FROM_ENSEMBLE",
                f"model {version.reference} is an ensemble, which has no single backbone",
                hint=f"start from one of its members: {', '.join(version.members)}",
            )
        return version.lineage.backbone, version.reference
