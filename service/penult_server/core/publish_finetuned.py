"""What a fine-tuning made, published as a version of a model with its own backbone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.evidence import Evidence, from_json
from penult_server.core.finetune_ports import Fingerprints
from penult_server.core.model_ports import Artifacts, ModelStore
from penult_server.core.models import Lineage, ModelKind, ModelVersion, NewVersion
from penult_server.core.snapshot import Snapshot, content_sha256

MODEL_DIRECTORY = "model"
"""Where training leaves the files of the version, in the job's directory."""
_HEAD = "logistic_regression"


class PublishFineTuned:
    """Takes over the files, tells their fingerprint, and writes the version down."""

    def __init__(
        self, models: ModelStore, artifacts: Artifacts, fingerprints: Fingerprints, *, code_version: str
    ) -> None:
        """`code_version` goes into the lineage."""
        self._models = models
        self._artifacts = artifacts
        self._fingerprints = fingerprints
        self._code_version = code_version

    def publish(
        self, name: str, job_id: str, directory: Path, result: Mapping[str, Any], parent: str
    ) -> ModelVersion:
        """The version; the same again where the job has published it before. Blocking.

        Args:
            name: of the model.
            job_id: of the job.
            directory: has the snapshot that was trained on, and the files in MODEL_DIRECTORY.
            result: of the job kind.
            parent: the version whose backbone training started from, "NAME@VERSION"; "" for none.

        Raises:
            ResourceExhausted: the disk is full.
        """

        def make() -> NewVersion:
            files = directory / MODEL_DIRECTORY
            snapshot, made = Snapshot.read(directory), result["finetune"]
            lineage = Lineage(
                dataset=snapshot.dataset,
                dataset_revision=snapshot.revision,
                example_count=snapshot.count,
                dataset_sha256=content_sha256(directory),
                backbone="",  # has its name once the version has its number
                fingerprint=self._fingerprints.fingerprint(files),
                head=_HEAD,
                parameters={**made["settings"], "learning_rate": made["learning_rate"]},
                code_version=self._code_version,
                parent=parent,
                job=job_id,
                start_backbone=made["lineage"]["backbone"],
                start_weights_sha256=made["lineage"]["backbone_weights_sha256"],
                variant=made["variant"],
            )
            return NewVersion(
                kind=ModelKind.FINE_TUNED,
                labels=tuple(result["labels"]),
                multi_label=result["multi_label"],
                threshold=result["threshold"],
                lineage=lineage,
                evidence=from_json(Evidence, result["evidence"]),
                artifact=job_id,
                size_bytes=self._artifacts.add(job_id, files),
            )

        return self._models.publish(name, job_id, make)


def version_as_result(version: ModelVersion) -> Mapping[str, Any]:
    """A version as the result of a job."""
    return {"model_version": json.loads(json.dumps(dataclasses.asdict(version)))}
