"""What a fine-tuning made, published as a version of a model with its own backbone."""

from __future__ import annotations

import dataclasses
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
KEPT = "kept"
"""Where it leaves those of the weights that are kept beside it, a folder for each variant."""
_HEAD = "logistic_regression"
SNAPSHOT = "snapshot"


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

        Weights that are kept beside the best become versions just before it. Where the ensemble of snapshots
        is the best, it is the version, and the best single network the one before.

        Args:
            name: of the model.
            job_id: of the job.
            directory: has the snapshot that was trained on, and the files in MODEL_DIRECTORY.
            result: of the job kind.
            parent: the version whose backbone training started from, "NAME@VERSION"; "" for none.

        Raises:
            ResourceExhausted: the disk is full.
        """
        snapshot, made = Snapshot.read(directory), result["finetune"]
        lineage = Lineage(
            dataset=snapshot.dataset,
            dataset_revision=snapshot.revision,
            example_count=snapshot.count,
            dataset_sha256=content_sha256(directory),
            backbone="",  # has its name once the version has its number
            fingerprint="",
            head=_HEAD,
            parameters={**made["settings"], "learning_rate": made["learning_rate"]},
            code_version=self._code_version,
            parent=parent,
            job=job_id,
            start_backbone=made["lineage"]["backbone"],
            start_weights_sha256=made["lineage"]["backbone_weights_sha256"],
        )

        def version(files: Path, artifact: str, variant: str, facts: Mapping[str, Any]) -> NewVersion:
            fingerprint = self._fingerprints.fingerprint(files)
            return NewVersion(
                kind=ModelKind.FINE_TUNED,
                labels=tuple(result["labels"]),
                multi_label=result["multi_label"],
                threshold=facts["threshold"],
                lineage=dataclasses.replace(lineage, fingerprint=fingerprint, variant=variant),
                evidence=from_json(Evidence, facts["evidence"]),
                artifact=artifact,
                size_bytes=self._artifacts.add(artifact, files),
            )

        def make() -> NewVersion:
            kept = [
                version(directory / KEPT / one["variant"], f"{job_id}.{one['variant']}", one["variant"], one)
                for one in result["kept"]
            ]
            best = version(directory / MODEL_DIRECTORY, job_id, made["variant"], result)
            if result["ensemble"] is None:
                return dataclasses.replace(best, beside=tuple(kept))
            variants = [one["variant"] for one in result["kept"]]
            members = [n for n, variant in enumerate(variants) if variant.startswith(SNAPSHOT)]
            return NewVersion(
                kind=ModelKind.ENSEMBLE,
                labels=best.labels,
                multi_label=best.multi_label,
                evidence=from_json(Evidence, result["ensemble"]),
                beside=(*kept, best),
                averaged=tuple(members),
            )

        return self._models.publish(name, job_id, make)
