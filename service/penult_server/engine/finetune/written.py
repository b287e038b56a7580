"""What fine-tuning leaves: the files of a version, and of those whose weights were not the best."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from penult_server.core.evidence import Evidence
from penult_server.core.finetune import Division
from penult_server.core.own_backbones import WEIGHTS
from penult_server.core.publish_finetuned import KEPT, SNAPSHOT
from penult_server.engine.backbones.weights import weights_sha256
from penult_server.engine.finetune.averages import Snapshots
from penult_server.engine.finetune.checkpoint import load_checkpoint
from penult_server.engine.finetune.head import trained_head
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.run import Material, Run
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.heads.evaluate import measure
from penult_server.engine.heads.files import save_head
from penult_server.engine.heads.train import TrainedHead

DESCRIPTION = "finetune.json"


@dataclasses.dataclass(frozen=True)
class Kept:
    """Weights beside the best: their head, and its probabilities of the pictures that it was measured on."""

    variant: str
    trained: TrainedHead
    probabilities: np.ndarray

    def described(self) -> dict[str, Any]:
        """As the job's result has it; its files are in the job's directory under KEPT/variant."""
        return {
            "variant": self.variant,
            "threshold": self.trained.threshold,
            "evidence": dataclasses.asdict(self.trained.evidence),
        }


def write_model(target: Path, model: Classifier, trained: TrainedHead, described: Mapping[str, Any]) -> None:
    """The files of a backbone and of its head, and how they came to be."""
    target.mkdir(parents=True, exist_ok=True)
    trunk = {name: t.detach().cpu().contiguous() for name, t in model.trunk.state_dict().items()}
    lineage = described["lineage"]
    save_file(trunk, target / WEIGHTS, {name: lineage[name] for name in ("architecture", "licence")})
    save_head(target, trained)
    (target / DESCRIPTION).write_text(json.dumps(described, indent=1), encoding="utf-8")


def load_weights(model: Classifier, file: Path) -> None:
    """Puts weights that training wrote into the network."""
    state = load_checkpoint(file)
    assert state is not None, "what is named is on disk"
    model.load_state_dict(state)


def keep(
    model: Classifier,
    material: Material,
    division: Division,
    settings: FineTuneSettings,
    run: Run,
    rate: float,
    rows: Sequence[dict[str, Any]],
    described: Mapping[str, Any],
    place: Path,
    directory: Path,
) -> list[Kept]:
    """Writes the weights that were not the best, as far as the settings want them.

    The weights of `model` change. `described` is that of the best weights; `place` is where training left
    all of them, `directory` that of the job. All else is as in `head.trained_head`.
    """
    kept = []
    for variant, file in _others(place, str(described["variant"]), settings).items():
        load_weights(model, file)
        trained, probabilities = trained_head(model, material, division, settings, run, rate, rows)
        own = {"variant": variant, "backbone_weights_sha256": weights_sha256(model.network.trunk)}
        write_model(directory / KEPT / variant, model, trained, {**described, **own})
        kept.append(Kept(variant, trained, probabilities))
    return kept


def average(kept: Sequence[Kept], division: Division) -> Evidence:
    """The evidence of the mean of the snapshots' probabilities."""
    snapshots = [each for each in kept if each.variant.startswith(SNAPSHOT)]
    evidence = snapshots[0].trained.evidence
    positions = division.test if evidence.measured_on == "test" else division.validation
    mean = np.mean([each.probabilities for each in snapshots], axis=0)
    ids = [division.ids[n] for n in positions.tolist()]
    evaluation = measure(
        mean, division.targets[positions], ids, division.labels, split=evidence.evaluation.split
    )
    return dataclasses.replace(evidence, evaluation=evaluation)


def _others(place: Path, winner: str, settings: FineTuneSettings) -> dict[str, Path]:
    """Files of the weights beside the best that are wanted, by variant."""
    found = {file.stem: file for file in Snapshots(place, settings.keep).files()} if settings.keep else {}
    if settings.keep_averages:
        found |= {
            name: file
            for name in ("plain", "ema", "mean")
            if name != winner and (file := place / f"{name}.safetensors").exists()
        }
    return found
