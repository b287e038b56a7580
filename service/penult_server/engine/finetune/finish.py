"""The end of a fine-tuning job: the best weights chosen, judged on the test split, and written down."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penult_server.core.diagnosis import diagnose
from penult_server.core.finetune import CURVES, Division
from penult_server.core.publish_finetuned import MODEL_DIRECTORY
from penult_server.engine.backbones.weights import weights_sha256
from penult_server.engine.finetune.averages import Snapshots
from penult_server.engine.finetune.curves import read_rows, to_curves
from penult_server.engine.finetune.evaluate import Score, outputs, score
from penult_server.engine.finetune.head import trained_head
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.plot import plot_curves
from penult_server.engine.finetune.preflight import Preflight
from penult_server.engine.finetune.run import Material, Run
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.finetune.tensorboard import write_events
from penult_server.engine.finetune.written import average, keep, load_weights, write_model
from penult_server.engine.workers.task import Task


@dataclasses.dataclass(frozen=True, slots=True)
class Lineage:
    """What a model came from."""

    backbone: str
    backbone_weights_sha256: str
    architecture: str
    licence: str
    dataset: str
    revision: int


def finish(
    model: Classifier,
    material: Material,
    division: Division,
    settings: FineTuneSettings,
    run: Run,
    rate: float,
    checks: Preflight | None,
    lineage: Lineage,
    place: Path,
    task: Task,
) -> Mapping[str, Any]:
    """Writes the directory `model`: the files of a backbone and of a head, `finetune.json` and the curves.

    `place` is the directory of the run, where its weights are.

    Returns:
        `labels`, `multi_label`, `threshold` and `evidence` as those of a head; `finetune` holds how it came
        to be, as `finetune.json` does; `kept` the other weights that are wanted, see `Kept.described`;
        `ensemble` the evidence of the mean of the snapshots' probabilities where that is the best of all.
    """
    target = task.directory / MODEL_DIRECTORY
    task.progress(0, 1, phase="finish")
    winner = run.winner()
    candidates = {name: _entry(*values) for name, values in run.best.items()}
    ensemble = _ensemble(model, material, settings, place)
    if ensemble is not None:
        candidates["ensemble"] = _entry(ensemble.accuracy, ensemble.negative_loss, settings.epochs)
    load_weights(model, place / f"{winner}.safetensors")
    rows = read_rows(place / CURVES)
    findings = diagnose(to_curves(rows, len(division.validation)))
    for finding in findings:
        task.log(f"{finding.symptom.value}: {finding.evidence}. What to change: {finding.advice}.")
    trained, _ = trained_head(model, material, division, settings, run, rate, rows)
    described: dict[str, Any] = {
        "lineage": dataclasses.asdict(lineage),
        "backbone_weights_sha256": weights_sha256(model.network.trunk),
        "settings": settings.model_dump(mode="json"),
        "learning_rate": rate,
        "variant": winner,
        "candidates": candidates,
        "validation": {**candidates[winner], "count": len(division.validation)},
        "counts": {"train": len(material.train), "test": len(division.test)},
        "steps": run.step,
        "ended": run.ended,
        "skipped_steps": run.bad_steps,
        "remedies": run.remedies,
        "preflight": None if checks is None else dataclasses.asdict(checks),
        "diagnosis": [{**dataclasses.asdict(f), "symptom": f.symptom.value} for f in findings],
    }
    write_model(target, model, trained, described)
    shutil.copyfile(place / CURVES, target / CURVES)
    plot_curves(rows, target / "curves.png", findings)
    write_events(rows, target)
    kept = keep(model, material, division, settings, run, rate, rows, described, place, task.directory)
    averaged = average(kept, division) if ensemble is not None and _better(ensemble, run) else None
    measured = trained.evidence.evaluation
    task.log(
        f"{100 * measured.accuracy:.1f} % ({100 * measured.accuracy_low:.1f} to "
        f"{100 * measured.accuracy_high:.1f}) of {measured.count} images in {trained.evidence.measured_on}"
    )
    task.progress(1, 1, phase="finish")
    return {
        "labels": list(division.labels),
        "multi_label": False,
        "threshold": trained.threshold,
        "evidence": dataclasses.asdict(trained.evidence),
        "finetune": json.loads(json.dumps(described)),
        "kept": [version.described() for version in kept],
        "ensemble": None if averaged is None else dataclasses.asdict(averaged),
    }


def _ensemble(model: Classifier, material: Material, settings: FineTuneSettings, place: Path) -> Score | None:
    """The mean of the snapshots' probabilities on the pictures that judge; None with fewer than two."""
    snapshots = Snapshots(place, settings.keep)
    if len(snapshots.files()) < 2:
        return None
    positions, targets = material.validation

    def probabilities(member: Classifier) -> torch.Tensor:
        logits = outputs(member, member, material.train.pictures, positions, settings.precision)
        return torch.from_numpy(logits).softmax(dim=1)

    mean = torch.stack(snapshots.each(model, probabilities)).mean(dim=0)
    return score(np.log(mean.clamp_min(1e-12).numpy()), targets)


def _better(ensemble: Score, run: Run) -> bool:
    """Whether it is better than every single network."""
    return (ensemble.accuracy, ensemble.negative_loss) > tuple(run.best[run.winner()][:2])


def _entry(accuracy: float, negative_loss: float, epoch: int) -> dict[str, Any]:
    return {"accuracy": accuracy, "loss": -negative_loss, "epoch": epoch}
