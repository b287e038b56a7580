"""Use case: a model version as a file that works without the server, checked against the server."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penult_server.core.classifier import LoadedHeads, check_fingerprint
from penult_server.core.errors import FailedPrecondition
from penult_server.core.export_ports import ExportFormats, Exports
from penult_server.core.extract import ExtractFeatures
from penult_server.core.features import FeatureOptions
from penult_server.core.images import SourceImage
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job, Progress
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.model_ports import Artifacts, ModelStore
from penult_server.core.models import ModelReference, ModelVersion
from penult_server.core.own_backbones import StoredBackbones, model_of
from penult_server.core.ports import ImagePreprocessor
from penult_server.core.preprocess import PLAIN, Preprocess

KIND = "export_model"
MODEL = "model"
"""The model's own files, in the job's directory."""
OWN = "own_backbone"
"""The files of the fine-tuned version whose backbone it takes, if it does."""
CARD = "card.json"
PICTURES, ANSWERS = "pictures.npy", "answers.npy"
"""Pictures as the backbone sees them, uint8 (N, H, W, 3), and the server's probabilities for them."""


class ExportModel:
    """Starts the jobs, does what needs the device and the store, and hands out the files."""

    def __init__(
        self,
        jobs: ManageJobs,
        models: ModelStore,
        artifacts: Artifacts,
        formats: ExportFormats,
        exports: Exports,
        heads: LoadedHeads,
        extract: ExtractFeatures,
        preprocess: ImagePreprocessor,
        photographs: Sequence[SourceImage],
        *,
        catalog: Mapping[str, Any],
    ) -> None:
        """`photographs` are what a file and the server must agree on; `catalog` is how a worker opens one."""
        self._jobs = jobs
        self._models = models
        self._artifacts = artifacts
        self._own = StoredBackbones(models, artifacts)
        self._formats = formats
        self._exports = exports
        self._heads = heads
        self._extract = extract
        self._preprocess = preprocess
        self._photographs = photographs
        self._catalog = catalog

    async def start(self, reference: ModelReference, format_name: str, request_id: str) -> Job:
        """Queues the job.

        Raises:
            InvalidArgument: an unknown format.
            NotFound: no such version.
            FailedPrecondition: EXPORT_ENSEMBLE.
            DataLoss: the model's files are damaged.
            ResourceExhausted: too many jobs wait, or the disk is full.
        """
        self._formats.check(format_name)
        version = await asyncio.to_thread(self._models.resolve, reference, evidence=True)
        lineage = version.lineage
        if lineage is None:
            raise FailedPrecondition(
                "EXPORT_ENSEMBLE",
                f"model {version.reference} is an ensemble, which is no single network",
                hint=f"export its members: {', '.join(version.members)}",
            )
        parameters = {
            "format": format_name,
            "model": version.reference,
            "backbone": lineage.backbone,
            "catalog": {
                **self._catalog,
                "own": {lineage.backbone: OWN} if model_of(lineage.backbone) else {},
            },
        }

        def prepare(directory: Path) -> None:
            self._artifacts.link(version.artifact, directory / MODEL)
            if own := self._own.find(lineage.backbone):
                self._artifacts.link(own.revision, directory / OWN)
            (directory / CARD).write_text(json.dumps(_card(version)), encoding="utf-8")

        return await self._jobs.submit(NewJob(KIND, version.model, parameters, prepare, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> None:
        """Writes down what the server itself says of some photographs; see core.job_ports.Stage."""
        await report([Progress(0, 1, phase="answers")])
        classifier = await self._heads.classifier(ModelReference.parse(job.parameters["model"]))
        (part,) = classifier.parts
        batch = await self._extract.extract(self._photographs, FeatureOptions(backbone=part.backbone))
        check_fingerprint(classifier.version.reference, part.backbone, part.fingerprint, batch.fingerprint)
        async with self._extract.identified(part.backbone) as (_, identity):
            answers = classifier.probabilities([batch.features])
            await asyncio.to_thread(self._write, directory, identity.preprocess, answers)
        await report([Progress(1, 1, phase="answers")])

    def publish(self, job: Job, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Takes the file over; see core.job_ports.Publish."""
        self._exports.add(job.id, directory / result["model_export"]["path"])
        return {"model_export": {k: v for k, v in result["model_export"].items() if k != "path"}}

    async def read(self, job_id: str) -> AsyncIterator[bytes]:
        """The file of a finished job in pieces. Raises NotFound EXPORT_GONE."""
        pieces = self._exports.read(job_id)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    def _write(self, directory: Path, preprocess: Preprocess, answers: np.ndarray) -> None:
        pictures = [self._preprocess(photograph, preprocess, PLAIN)[0] for photograph in self._photographs]
        np.save(directory / PICTURES, np.stack(pictures), allow_pickle=False)
        np.save(directory / ANSWERS, answers, allow_pickle=False)


def _card(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.model,
        "version": version.version,
        "labels": list(version.labels),
        "multi_label": version.multi_label,
        "threshold": version.threshold,
        "lineage": dataclasses.asdict(version.lineage) if version.lineage else None,
        "metrics": dict(version.metrics),
        "evidence": dataclasses.asdict(version.evidence) if version.evidence else None,
    }
