"""How good a classifier is, and how that was measured. Shares and probabilities are in [0, 1]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fares; `support` is the number of images that really have the label.

    `average_precision` is given for multi-label models only.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    average_precision: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions with a probability in (low, high]: their mean probability, and the share that was right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer and the probability that was given to it. `id` is the sha256 of the image."""

    id: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """A model measured on labelled images that it was not trained on.

    Attributes:
        split: "test", "validation", "cross-validation", or what else was measured on.
        count: images measured on.
        left_out: images without a label, or with one that the model does not know.
        multi_label: several labels an image; a label counts as predicted from probability 0.5 on.
        labels: the classes, in the order of `classes` and `confusion`.
        accuracy: share of images that are right; multi-label: whose set of labels is exactly right.
        accuracy_low, accuracy_high: 95 % Wilson score interval of `accuracy`.
        top5_accuracy: share whose label is among the five likeliest; None for multi-label.
        balanced_accuracy: mean recall over the classes that occur.
        macro_f1, micro_f1: F1 averaged over classes, and over decisions.
        mean_average_precision: over the classes that occur; None for single-label.
        log_loss: mean of -log(probability of the true label).
        calibration_error: expected calibration error over `calibration_bins` (Guo et al. 2017).
        classes: one for each of `labels`.
        confusion: cells that are not zero as (true, predicted, count), by position in `labels`; empty for
            multi-label. `confusion_matrix()` gives an array.
        threshold: below this probability an answer is rejected; None: nothing is.
        reject_rate, accepted_accuracy: share of images rejected, and accuracy of the others.
        mistakes: the surest wrong answers first.
    """

    split: str
    count: int
    left_out: int
    multi_label: bool
    labels: tuple[str, ...]
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    top5_accuracy: float | None
    balanced_accuracy: float
    macro_f1: float
    micro_f1: float
    mean_average_precision: float | None
    log_loss: float
    calibration_error: float
    calibration_bins: tuple[CalibrationBin, ...]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, int, int], ...]
    threshold: float | None
    reject_rate: float | None
    accepted_accuracy: float | None
    mistakes: tuple[Mistake, ...]

    def confusion_matrix(self) -> npt.NDArray[np.int64]:
        """(classes, classes): rows are what is true, columns what was predicted."""
        matrix: npt.NDArray[Any] = np.zeros((len(self.labels), len(self.labels)), np.int64)
        for true, predicted, count in self.confusion:
            matrix[true, predicted] = count
        return matrix


@dataclasses.dataclass(frozen=True, slots=True)
class CurvePoint:
    """A choice of hyperparameters that was tried in cross-validation.

    `score` is the mean over the held-out images of `folds` folds, `deviation` the standard deviation over
    the folds. `dropped`: it was clearly behind the best, so the other folds were spared.
    """

    parameters: Mapping[str, float]
    score: float
    deviation: float
    folds: int
    dropped: bool


@dataclasses.dataclass(frozen=True, slots=True)
class LearningPoint:
    """Accuracy with this many training images."""

    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a trained model.

    Attributes:
        evaluation: measured on images that were not trained on.
        measured_on: "test", "validation" or "cross-validation".
        note: how it was measured, in a sentence.
        train_count: images trained on.
        views: views of each that were trained on.
        hyperparameters: chosen or given.
        curve_score: what `score` of the curve's points is.
        curve: what the hyperparameters were chosen from; empty: nothing was searched.
        learning_curve: accuracy with rising number of images.
        seconds: by phase.
        warnings: what to know before trusting the figures.
    """

    evaluation: Evaluation
    measured_on: str
    note: str
    train_count: int
    views: int
    hyperparameters: Mapping[str, float]
    curve_score: str
    curve: tuple[CurvePoint, ...]
    learning_curve: tuple[LearningPoint, ...]
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]
