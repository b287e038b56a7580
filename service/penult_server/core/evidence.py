"""What is known of a head's quality, and how it was measured. Values survive the way through JSON."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Z95 = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fares; shares in [0, 1]. `support` is the number of images that really have the label.

    `average_precision` is given for multi-label heads only.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    average_precision: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The predictions with a probability in (low, high]: their mean probability, and how many were right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer and the probability that was given to it, for an image by its id (its sha256)."""

    id: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: float


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """A head measured on labelled images that it was not trained on. Shares are in [0, 1].

    Attributes:
        split: "test", "validation", "cross-validation", or what else was measured on.
        count: images measured on.
        left_out: images without a label, or with one that the head does not know.
        multi_label: several labels an image; a label counts as predicted from probability 0.5 on.
        labels: the head's classes, in its order.
        accuracy: share of images that are right; multi-label: whose set of labels is exactly right.
        accuracy_low, accuracy_high: 95 % Wilson score interval of `accuracy`.
        top5_accuracy: share whose label is among the five likeliest; None for multi-label.
        balanced_accuracy: mean recall over the classes that occur.
        macro_f1, micro_f1: F1 averaged over the classes that occur or are predicted, and over decisions.
        mean_average_precision: mean over the classes that occur; None for single-label.
        log_loss: mean of -log(probability of the true label); multi-label: of each yes-or-no decision.
        calibration_error: expected calibration error over `calibration_bins` (Guo et al. 2017); multi-label:
            of every yes-or-no decision.
        classes: one for each of `labels`.
        confusion: cells that are not zero as (true, predicted, count), by position in `labels`; empty for
            multi-label.
        threshold: below this probability an answer is rejected; None: nothing is.
        reject_rate, accepted_accuracy: share of images rejected, and accuracy of the others; None where
            there is no threshold or nothing was accepted.
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

    def confusion_matrix(self) -> np.ndarray:
        """(classes, classes) int64: rows are what is true, columns what was predicted."""
        matrix = np.zeros((len(self.labels), len(self.labels)), np.int64)
        for true, predicted, count in self.confusion:
            matrix[true, predicted] = count
        return matrix


@dataclasses.dataclass(frozen=True, slots=True)
class CurvePoint:
    """A choice of hyperparameters that was tried in cross-validation.

    `score` is the mean over the held-out images of `folds` folds, `deviation` the standard deviation
    over these folds. `dropped`: it was clearly behind the best, so the other folds were spared; with no fold
    at all, score and deviation are None, because its neighbours were hopeless.
    """

    parameters: Mapping[str, float]
    score: float | None
    deviation: float | None
    folds: int
    dropped: bool


@dataclasses.dataclass(frozen=True, slots=True)
class LearningPoint:
    """Accuracy with this many training images, as in Evaluation."""

    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a trained head.

    Attributes:
        evaluation: measured on images that were not trained on.
        measured_on: "test", "validation" or "cross-validation".
        note: how it was measured, in a sentence; also when something had to stand in.
        train_count: images trained on.
        views: views of each that were trained on.
        hyperparameters: those of the head, chosen or given.
        curve_score: what `score` of the curve's points is: "accuracy" or, for multi-label,
            "label ranking average precision".
        curve: what the hyperparameters were chosen from, in the order of trying; empty: nothing was searched.
        learning_curve: rising number of images, the last one is this head. Empty where it was not asked for.
        seconds: by phase, on the clock.
        warnings: what a user should know before trusting the figures.
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


def from_json(kind: type[T], values: Any) -> T:
    """The dataclass again from what `dataclasses.asdict` and JSON made of it.

    Raises:
        ValueError: a field is missing, unknown, or of another type.
    """
    return typing.cast("T", _rebuilt(kind, values))


def wilson_interval(successes: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927); (0, 1) of nothing."""
    if count == 0:
        return 0.0, 1.0
    share = successes / count
    middle = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _rebuilt(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, Mapping) or set(value) != set(hints):
            raise ValueError(f"these are not the fields of {kind}")
        return typing.cast(Any, kind)(**{name: _rebuilt(hints[name], value[name]) for name in hints})
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{value!r} is no list")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise ValueError(f"{len(value)} values instead of {len(kinds)}")
        return tuple(_rebuilt(each, item) for each, item in zip(kinds, value, strict=True))
    if origin is types.UnionType:
        return None if value is None else _rebuilt(arguments[0], value)
    if typing.get_origin(kind) is not None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{value!r} is no object")
        return {str(key): _rebuilt(arguments[1], item) for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value
