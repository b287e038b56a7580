"""The job kind `train_head`: a head from the features that the server has put into the job's directory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.dataset_features import FeatureTable
from penult_server.core.snapshot import Snapshot, read_examples
from penult_server.core.train_head import HEAD_DIRECTORY, KIND
from penult_server.core.trainable import trainable
from penult_server.engine import heads  # noqa: F401 - registers the kinds of head
from penult_server.engine.head_jobs.inputs import features_of, picked, usable
from penult_server.engine.heads.data import TrainingData, encode
from penult_server.engine.heads.files import save_head
from penult_server.engine.heads.train import train_head
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task

_NAMED = 5


@job_kind(KIND, resumable=True)
def run(task: Task, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Trains, saves and measures. It takes seconds, so that another run simply begins again."""
    snapshot, chosen = Snapshot.read(task.directory), trainable(read_examples(task.directory))
    positions = usable(task.directory, ["features"], len(chosen.examples))
    examples = picked(chosen.examples, positions)
    classes = tuple(sorted({label for example in examples for label in example.labels}))
    data = TrainingData(
        features_of(task.directory, "features", positions),
        encode([example.labels for example in examples], classes, multi_label=snapshot.multi_label),
        classes,
        [example.split.value for example in examples],
        [example.sha256 for example in examples],
    )
    trained = train_head(
        data, parameters["head"], parameters["parameters"], task, device=parameters.get("device", "cpu")
    )
    warnings = (*chosen.warnings, *_failures(task.directory), *trained.evidence.warnings)
    trained = dataclasses.replace(trained, evidence=dataclasses.replace(trained.evidence, warnings=warnings))
    made = task.directory / HEAD_DIRECTORY
    made.mkdir(exist_ok=True)
    save_head(made, trained)
    _sync(made)
    measured = trained.evidence.evaluation
    task.metrics({"accuracy": measured.accuracy, "macro_f1": measured.macro_f1})
    for warning in warnings:
        task.log(warning, "warning")
    task.log(
        f"accuracy {measured.accuracy:.3f} ({measured.accuracy_low:.3f} to {measured.accuracy_high:.3f}) "
        f"on {measured.count} images; {trained.evidence.note}"
    )
    return {
        "labels": list(trained.head.classes),
        "multi_label": trained.head.multi_label,
        "threshold": trained.threshold,
        "evidence": dataclasses.asdict(trained.evidence),
    }


def _failures(directory: Path) -> list[str]:
    """Images that could not be used, for the evidence."""
    failed = FeatureTable.read(directory).failed
    if not failed:
        return []
    named = ", ".join(f"{image.sha256} [{image.reason}]" for image in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return [f"{len(failed)} images cannot be used and were left out: {named}{more}"]


def _sync(directory: Path) -> None:
    """Before the result says that they are there, the files must be on disk."""
    for path in (*directory.iterdir(), directory):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
