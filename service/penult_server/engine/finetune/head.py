"""The last layer of a fine-tuned network as a head like any other, calibrated and with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penult_server.core.evidence import Evidence
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
) -> tuple[TrainedHead, np.ndarray]:
    """The head, its probabilities calibrated on the validation images, measured on the test images.

    Where there are no test images, it is measured on those that judged, whose logits are known.

    Args:
        model: with the weights that are kept.
        material: what was trained on.
        division: the same by examples.
        settings: the recipe.
        run: how it went.
        rate: peak learning rate.
        rows: of the curves.

    Returns:
        The head, and its probabilities (n, classes) of the pictures that it was measured on.
    """
    judged = outputs(model, model, material.train.pictures, division.validation, settings.precision)
    calibration = Calibration.fit(judged, division.targets[division.validation])
    weight, bias = (tensor.detach().cpu().float().numpy() for tensor in (model.head.weight, model.head.bias))
    dim = model.head.in_features
    head = Head(
        KIND, division.labels, False, dim, Normaliser("none"), LinearScorer(weight, bias), calibration
    )
    split, positions, logits = "validation", division.validation, judged
    if len(division.test):
        split, positions = "test", division.test
        logits = outputs(model, model, material.train.pictures, positions, settings.precision)
    probabilities = calibration(logits)
    ids = [division.ids[n] for n in positions.tolist()]
    evaluation = measure(probabilities, division.targets[positions], ids, division.labels, split=split)
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
    return TrainedHead(head, None, settings.model_dump(mode="json"), evidence), probabilities
