"""What the curves of a training run say, each finding with its evidence and what to change.

The patterns are those that practitioners look for by eye (Stanford CS231n, "Neural Networks Part 3:
Learning and Evaluation"); here they are rules over arrays, so that they can be tested on curves.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np


class Symptom(str, enum.Enum):
    """What can be seen in curves. The value is the word of results."""

    BAD_INITIALISATION = "bad_initialisation"
    RATE_TOO_HIGH = "rate_too_high"
    WORSE_THAN_PROBE = "worse_than_probe"
    PLATEAU = "plateau"
    DECAYED_TOO_EARLY = "decayed_too_early"
    STILL_IMPROVING = "still_improving"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    HEALTHY = "healthy"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One symptom: the numbers behind it, and what to change."""

    symptom: Symptom
    evidence: str
    advice: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """A run's curves.

    Attributes:
        loss: training loss of every step, float (steps,); NaN where it was not finite.
        factor: learning rate of every step as a share of its peak, float (steps,).
        train_accuracy: in [0, 1] after every epoch, on training pictures as they are served, float (epochs,).
        accuracy: the same on validation pictures.
        validation_loss: cross-entropy after every epoch, float (epochs,).
        validation_count: validation pictures, which is what the noise of `accuracy` follows from.
        start: accuracy and loss of the linear probe that training started from, on the validation pictures;
            None where it started from a random head.
    """

    loss: np.ndarray
    factor: np.ndarray
    train_accuracy: np.ndarray
    accuracy: np.ndarray
    validation_loss: np.ndarray
    validation_count: int
    start: tuple[float, float] | None = None


def diagnose(curves: Curves) -> list[Finding]:
    """Every symptom that is there, worst first; HEALTHY alone where there is none.

    Fewer than 10 steps say nothing: the list is empty then.
    """
    if len(curves.loss) < _FEWEST_STEPS:
        return []
    found = [finding for rule in _RULES for finding in rule(curves)]
    symptoms = {finding.symptom for finding in found}
    # A rate that is too high, or training that undid what was there, explains what else is wrong.
    if symptoms & {Symptom.RATE_TOO_HIGH, Symptom.WORSE_THAN_PROBE}:
        found = [f for f in found if f.symptom not in (Symptom.PLATEAU, Symptom.UNDERFITTING)]
    return found or [_healthy(curves)]


def moving_average(values: np.ndarray, window: int = 0) -> np.ndarray:
    """Centred mean over `window` values, fewer at the ends; NaN is left out.

    Args:
        values: float (n,).
        window: 0 takes a fiftieth of all, at least 5.

    Returns:
        float (n,); NaN only where a whole window is.
    """
    count = len(values)
    half = max(2, (window or count // 50) // 2)
    good = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(good, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(good)])
    first = np.maximum(0, np.arange(count) - half)
    after = np.minimum(count, np.arange(count) + half + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((sums[after] - sums[first]) / (counts[after] - counts[first]))


_FEWEST_STEPS = 10
_FLAT = 0.03
"""A loss that moves by less than this share of itself is flat."""
_GAP = 0.10
_NO_GAP = 0.015
_BEYOND_NOISE = 8.0
"""Averages of a window differ by fewer standard errors than this by chance, in runs of any length."""
_WORSE = 1.1
"""A validation loss this many times that of the probe is worse beyond doubt."""


def _healthy(curves: Curves) -> Finding:
    smooth = moving_average(curves.loss)
    evidence = f"the loss went from {smooth[0]:.3g} to {smooth[-1]:.3g}"
    advice = "nothing; more data or a larger backbone may add accuracy"
    if len(curves.accuracy):
        train, validation = _percent(curves.train_accuracy[-1]), _percent(curves.accuracy[-1])
        evidence += f", {train} in training and {validation} in validation"
        if curves.start is not None and curves.accuracy.max() <= curves.start[0]:
            evidence += f", where the linear probe before it had {_percent(curves.start[0])}"
            advice = "more epochs, stages or rate, or none of it: so far a head on frozen features is as good"
    return Finding(Symptom.HEALTHY, evidence, advice)


def _rate_too_high(curves: Curves) -> Iterator[Finding]:
    window = max(5, len(curves.loss) // 20)
    smooth = moving_average(curves.loss, window)
    advice = "a learning rate 3 to 10 times lower, or a longer warm-up"
    bad = int((~np.isfinite(curves.loss)).sum())
    if bad:
        yield Finding(Symptom.RATE_TOO_HIGH, f"the loss was not finite in {bad} steps", advice)
        return
    lowest = int(np.argmin(smooth))
    highest_after = float(smooth[lowest:].max())
    fell, rise = smooth[0] - smooth[lowest], highest_after - smooth[lowest]
    # Back up by more than it had come down, or by most of it; after a linear probe noise alone can do that.
    if (highest_after > smooth[0] * 1.05 or (fell > 0.2 * smooth[0] and rise > 0.5 * fell)) and (
        rise > _BEYOND_NOISE * _step_noise(curves.loss) / math.sqrt(window)
    ):
        yield Finding(
            Symptom.RATE_TOO_HIGH,
            f"the average loss rose from {smooth[lowest]:.3g} at step {lowest + 1} to {highest_after:.3g}",
            advice,
        )


def _worse_than_probe(curves: Curves) -> Iterator[Finding]:
    """What the linear probe knew was lost, and no epoch won it back. The same pictures judge both."""
    if curves.start is None or not len(curves.accuracy):
        return
    before, loss_before = curves.start
    best, lowest = float(curves.accuracy.max()), float(np.nanmin(curves.validation_loss))
    lost = before - best > _noise(before, curves.validation_count)
    if lost or (best < before and lowest > _WORSE * loss_before):
        yield Finding(
            Symptom.WORSE_THAN_PROBE,
            f"the best epoch has {_percent(best)} of the validation images and a loss of {lowest:.3g}, the "
            f"linear probe before it had {_percent(before)} and {loss_before:.3g}",
            "a learning rate 3 to 10 times lower, a smaller layer_decay, or gentler augmentation",
        )


def _bad_initialisation(curves: Curves) -> Iterator[Finding]:
    """Flat from the end of the warm-up on, then a drop: the network first had to find a direction."""
    warm = int(np.argmax(curves.factor >= 0.5)) if (curves.factor >= 0.5).any() else 0
    smooth = moving_average(curves.loss)[warm:]
    if len(smooth) < _FEWEST_STEPS or not np.isfinite(smooth).all():
        return
    moved = np.abs(smooth - smooth[0]) > _FLAT * abs(smooth[0])
    flat = int(np.argmax(moved)) if moved.any() else len(smooth)
    if flat >= max(5, len(smooth) // 10) and smooth.min() < 0.8 * smooth[0]:
        yield Finding(
            Symptom.BAD_INITIALISATION,
            f"the loss stayed at {smooth[0]:.3g} for {flat} steps before it fell to {smooth.min():.3g}",
            "start from a linear probe or from pretrained weights, or scale the initial weights down",
        )


def _plateau(curves: Curves) -> Iterator[Finding]:
    smooth = moving_average(curves.loss)
    third = smooth[-len(smooth) // 3 :]
    rate = curves.factor[-len(smooth) // 3 :]
    fell_before = smooth[0] - third[0] > 0.2 * abs(smooth[0])
    if fell_before and rate.min() >= 0.5 and third[-1] > 0.05 * smooth[0] and _fall(third) < _FLAT:
        yield Finding(
            Symptom.PLATEAU,
            f"the loss stays near {third[-1]:.3g} over the last {len(third)} steps, at a rate that stays up",
            "let the rate decay: the schedule cosine, or step with an earlier milestone",
        )


def _decayed_too_early(curves: Curves) -> Iterator[Finding]:
    smooth, count = moving_average(curves.loss), len(curves.loss)
    peak = int(np.argmax(curves.factor))
    low = np.flatnonzero(curves.factor[peak:] <= 0.11)
    if not len(low) or peak + int(low[0]) > 0.6 * count:
        return
    at = peak + int(low[0])
    window = max(5, count // 10)
    before, after = (
        smooth[max(peak, at - window) : max(peak + 2, at - window // 4)],
        smooth[at + window // 2 :],
    )
    if len(before) < 2 or len(after) < 2 or after[-1] < 0.05 * smooth[0]:
        return
    if _fall(before) > 2 * _FLAT and _fall(after) < _FLAT:
        yield Finding(
            Symptom.DECAYED_TOO_EARLY,
            f"the loss was still falling ({_percent(_fall(before))} over {len(before)} steps) when the rate "
            f"dropped at step {at + 1}, and stood still after it",
            "keep the rate up for longer: later milestones, or the schedule cosine",
        )


def _still_improving(curves: Curves) -> Iterator[Finding]:
    count = len(curves.accuracy)
    if count < 5:
        return
    fifth = max(2, count // 5)
    late, early = curves.accuracy[-fifth:].mean(), curves.accuracy[-2 * fifth : -fifth].mean()
    losses = curves.validation_loss
    loss_fall = 1 - losses[-fifth:].mean() / losses[-2 * fifth : -fifth].mean()
    if late - early > max(0.01, _noise(late, curves.validation_count)) and loss_fall > 0:
        yield Finding(
            Symptom.STILL_IMPROVING,
            f"validation accuracy rose from {_percent(early)} to {_percent(late)} "
            f"over the last {2 * fifth} epochs",
            "train longer: more epochs",
        )


def _overfitting(curves: Curves) -> Iterator[Finding]:
    if len(curves.accuracy) < 3:
        return
    train, validation = curves.train_accuracy[-1], curves.accuracy[-1]
    losses = curves.validation_loss
    lowest = int(np.argmin(losses))
    rise = losses[-1] / max(losses[lowest], 1e-12) - 1
    advice = (
        "more data, stronger augmentation, mixup or weight decay, fewer trainable stages, or fewer epochs"
    )
    if train - validation > max(_GAP, 2 * _noise(validation, curves.validation_count)):
        yield Finding(
            Symptom.OVERFITTING,
            f"{_percent(train)} in training against {_percent(validation)} in validation",
            advice,
        )
    elif rise > 0.15 and lowest < len(losses) - 2 and train > validation:
        yield Finding(
            Symptom.OVERFITTING,
            f"the validation loss rose by {_percent(rise)} since epoch {lowest + 1}",
            advice,
        )


def _underfitting(curves: Curves) -> Iterator[Finding]:
    if len(curves.accuracy) < 3:
        return
    train, validation = curves.train_accuracy[-1], curves.accuracy[-1]
    if train - validation < _NO_GAP and train < 0.95:
        yield Finding(
            Symptom.UNDERFITTING,
            f"{_percent(train)} in training and {_percent(validation)} in validation: no gap",
            "more capacity or less regularisation: more trainable stages, a larger backbone, "
            "weaker augmentation, a higher rate",
        )


_RULES: Sequence[Callable[[Curves], Iterator[Finding]]] = (
    _rate_too_high,
    _worse_than_probe,
    _bad_initialisation,
    _plateau,
    _decayed_too_early,
    _overfitting,
    _underfitting,
    _still_improving,
)


def _fall(values: np.ndarray) -> float:
    """By which share of itself a curve fell from its first part to its last."""
    part = max(1, len(values) // 5)
    first = float(values[:part].mean())
    return (first - float(values[-part:].mean())) / max(abs(first), 1e-12)


def _step_noise(loss: np.ndarray) -> float:
    """Standard deviation of a step's loss around its trend, from the median of the differences."""
    return float(np.median(np.abs(np.diff(loss)))) / 0.954


def _noise(accuracy: float, count: int) -> float:
    """One standard error."""
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / max(count, 1))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
