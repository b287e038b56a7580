"""The last layer of a fine-tuned network as a head like any other, calibrated and with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penult_server.core.evidence import Evaluation, Evidence
from penult_server.core.finetune import Division
from penult_server.engine.finetune.evaluate import outputs
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.run import Material, Run
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.heads.calibrate import Calibration
from penult_server.engine.heads.evaluate import measure
from penult_server.engine.heads.head import Head
from penult_server.engine.heads.linear import LinearScorer
from penult_server.engine.heads.normalise import Normaliser
from penult_server.engine.heads.train import TrainedHead

KIND = "logistic_regression"
"""A linear layer under a softmax is what that head is, however it was trained."""


def trained_head(
    model: Classifier,
    material: Material,
    division: Division,
    settings: FineTuneSettings,
    run: Run,
    rate: float,
    rows: Sequence[dict[str, Any]],
) -> TrainedHead:
    """The head, its probabilities calibrated on the validation images, measured on the test images.

    Args:
        model: with the weights that are kept.
        material: what was trained on.
        division: the same by examples.
        settings: the recipe.
        run: how it went.
        rate: peak learning rate.
        rows: of the curves.
    """
    judged = outputs(model, model, material.train.pictures, division.validation, settings.precision)
    calibration = Calibration.fit(judged, division.targets[division.validation])
    weight, bias = (tensor.detach().cpu().float().numpy() for tensor in (model.head.weight, model.head.bias))
    dim = model.head.in_features
    head = Head(
        KIND, division.labels, False, dim, Normaliser("none"), LinearScorer(weight, bias), calibration
    )
    evaluation = _evaluation(model, material, division, settings, calibration, judged)
    train_seconds = sum(row["seconds"] for row in rows if "seconds" in row)
    evidence = Evidence(
        evaluation=evaluation,
        measured_on=evaluation.split,
        note="measured on the test split, which neither training nor any choice has seen"
        if evaluation.split == "test"
        else "there is no test split: measured on the validation images, which also chose the weights and "
        "calibrated the probabilities, so that the figures are a little too good",
        train_count=len(material.train),
        views=1,
        hyperparameters={"learning_rate": rate, "epochs": float(settings.epochs), "steps": float(run.step)},
        curve_score="accuracy",
        curve=(),
        learning_curve=(),
        seconds={"train": train_seconds},
        warnings=tuple(run.remedies),
    )
    return TrainedHead(head, None, settings.model_dump(mode="json"), evidence)


def measured_on(
    model: Classifier, material: Material, division: Division, settings: FineTuneSettings
) -> tuple[str, np.ndarray, np.ndarray]:
    """The split that a result is measured on: its name, positions int64 (n,), and logits (n, classes)."""
    split, positions = ("test", division.test) if len(division.test) else ("validation", division.validation)
    return split, positions, outputs(model, model, material.train.pictures, positions, settings.precision)


def _evaluation(
    model: Classifier,
    material: Material,
    division: Division,
    settings: FineTuneSettings,
    calibration: Calibration,
    judged: np.ndarray,
) -> Evaluation:
    """On the test images; where there are none, on those that judged, whose logits are known."""
    if len(division.test):
        split, positions, logits = measured_on(model, material, division, settings)
    else:
        split, positions, logits = "validation", division.validation, judged
    ids = [division.ids[n] for n in positions.tolist()]
    return measure(calibration(logits), division.targets[positions], ids, division.labels, split=split)
