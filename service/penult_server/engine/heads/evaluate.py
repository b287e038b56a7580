"""Measures probabilities against what is true: everything that core.evidence.Evaluation holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penult_server.core.errors import FailedPrecondition
from penult_server.core.evidence import CalibrationBin, ClassScore, Evaluation, Mistake, wilson_interval
from penult_server.engine.heads.head import Head

MAX_MISTAKES = 50
BINS = 15
_LEAST = 1e-7


def evaluate(
    head: Head,
    features: np.ndarray,
    targets: np.ndarray,
    ids: Sequence[str],
    *,
    split: str,
    threshold: float | None = None,
) -> Evaluation:
    """Measures a head on plain features, float32 (N, dim).

    Args:
        head: to measure.
        features: of images that it was not trained on.
        targets: as in TrainingData, in the order of `head.classes` (see data.encode).
        ids: name the images in `mistakes`.
        split: what the images are.
        threshold: answers below it are rejected.

    Raises:
        FailedPrecondition: NOTHING_TO_EVALUATE, no image has a label that the head knows.
        InvalidArgument: FEATURES_MALFORMED.
    """
    return measure(head.probabilities(features), targets, ids, head.classes, split=split, threshold=threshold)


def measure(
    probabilities: np.ndarray,
    targets: np.ndarray,
    ids: Sequence[str],
    classes: Sequence[str],
    *,
    split: str,
    threshold: float | None = None,
) -> Evaluation:
    """As `evaluate`, from probabilities (N, classes) that are known already."""
    known = targets.any(axis=1) if targets.ndim == 2 else targets >= 0
    if not known.any():
        raise FailedPrecondition(
            "NOTHING_TO_EVALUATE",
            f"none of the {len(targets)} images in {split} has a label that the head knows",
            hint="choose another split or dataset",
        )
    kept = np.flatnonzero(known)
    p = np.clip(probabilities[kept].astype(np.float64), 0, 1)
    names = [ids[position] for position in kept.tolist()]
    left_out = len(targets) - len(kept)
    if targets.ndim == 2:
        return _several(p, targets[kept], names, classes, split, left_out)
    return _one(p, targets[kept], names, classes, split, left_out, threshold)


def _one(
    p: np.ndarray, true: np.ndarray, ids: Sequence[str], classes: Sequence[str],
    split: str, left_out: int, threshold: float | None,
) -> Evaluation:  # fmt: skip
    count, width = p.shape
    predicted, sure = p.argmax(axis=1), p.max(axis=1)
    right = predicted == true
    own = p[np.arange(count), true]
    low, high = wilson_interval(int(right.sum()), count)
    scores = _class_scores(
        classes,
        hits=np.bincount(true[right], minlength=width),
        predicted=np.bincount(predicted, minlength=width),
        support=np.bincount(true, minlength=width),
    )
    cells, numbers = np.unique(np.stack([true, predicted]), axis=1, return_counts=True)
    bins, error = _calibration(sure, right)
    accepted = np.ones(count, bool) if threshold is None else sure >= threshold
    wrong = np.flatnonzero(~right)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MAX_MISTAKES]
    return Evaluation(
        split=split,
        count=count,
        left_out=left_out,
        multi_label=False,
        labels=tuple(classes),
        accuracy=float(right.mean()),
        accuracy_low=low,
        accuracy_high=high,
        # Of equal probabilities the true one comes last, so that a tie is no success.
        top5_accuracy=float(((p > own[:, None]).sum(axis=1) + _ties(p, own) < 5).mean()),
        balanced_accuracy=_mean([score.recall for score in scores if score.support]),
        macro_f1=_macro_f1(scores, predicted),
        micro_f1=float(right.mean()),
        mean_average_precision=None,
        log_loss=float(-np.log(np.maximum(own, _LEAST)).mean()),
        calibration_error=error,
        calibration_bins=bins,
        classes=tuple(scores),
        confusion=tuple((int(a), int(b), int(n)) for a, b, n in zip(*cells, numbers, strict=True)),
        threshold=threshold,
        reject_rate=None if threshold is None else float(1 - accepted.mean()),
        accepted_accuracy=None if threshold is None or not accepted.any() else float(right[accepted].mean()),
        mistakes=tuple(
            Mistake(ids[n], (classes[true[n]],), (classes[predicted[n]],), float(sure[n]))
            for n in worst.tolist()
        ),
    )


def _several(
    p: np.ndarray, true: np.ndarray, ids: Sequence[str], classes: Sequence[str], split: str, left_out: int
) -> Evaluation:
    count = len(p)
    predicted: np.ndarray = p >= 0.5
    agree = np.equal(predicted, true)
    right = agree.all(axis=1)
    low, high = wilson_interval(int(right.sum()), count)
    hits = (predicted & true).sum(axis=0)
    precision = [
        average_precision(p[:, n], true[:, n]) if true[:, n].any() else None for n in range(p.shape[1])
    ]
    scores = _class_scores(classes, hits, predicted.sum(axis=0), true.sum(axis=0), precision)
    own = np.where(true, p, 1 - p)
    bins, error = _calibration(np.maximum(p, 1 - p).ravel(), agree.ravel())
    # How sure it was of the one decision that it got most wrong.
    blunder = np.where(agree, 0, np.maximum(p, 1 - p)).max(axis=1)
    worst = np.flatnonzero(~right)
    worst = worst[np.argsort(-blunder[worst], kind="stable")][:MAX_MISTAKES]
    return Evaluation(
        split=split,
        count=count,
        left_out=left_out,
        multi_label=True,
        labels=tuple(classes),
        accuracy=float(right.mean()),
        accuracy_low=low,
        accuracy_high=high,
        top5_accuracy=None,
        balanced_accuracy=_mean([score.recall for score in scores if score.support]),
        macro_f1=_macro_f1(scores, np.flatnonzero(predicted.any(axis=0))),
        micro_f1=float(2 * hits.sum() / max(1, predicted.sum() + true.sum())),
        mean_average_precision=_mean([value for value in precision if value is not None]),
        log_loss=float(-np.log(np.maximum(own, _LEAST)).mean()),
        calibration_error=error,
        calibration_bins=bins,
        classes=tuple(scores),
        confusion=(),
        threshold=None,
        reject_rate=None,
        accepted_accuracy=None,
        mistakes=tuple(
            Mistake(
                ids[n],
                tuple(classes[c] for c in np.flatnonzero(true[n]).tolist()),
                tuple(classes[c] for c in np.flatnonzero(predicted[n]).tolist()),
                float(blunder[n]),
            )
            for n in worst.tolist()
        ),
    )  # fmt: skip


def average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """Area under the precision-recall curve, a sum over steps of recall; equal scores come together."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(true[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    precision, gained = hits[last] / (last + 1), np.diff(hits[last], prepend=0)
    return float((precision * gained).sum() / hits[-1])


def _ties(p: np.ndarray, own: np.ndarray) -> np.ndarray:
    return (p == own[:, None]).sum(axis=1) - 1


def _class_scores(
    classes: Sequence[str],
    hits: np.ndarray,
    predicted: np.ndarray,
    support: np.ndarray,
    average: Sequence[float | None] | None = None,
) -> list[ClassScore]:
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(predicted + support, 1)
    return [
        ClassScore(
            label, float(precision[n]), float(recall[n]), float(f1[n]), int(support[n]),
            None if average is None else average[n],
        )
        for n, label in enumerate(classes)
    ]  # fmt: skip


def _macro_f1(scores: Sequence[ClassScore], predicted: np.ndarray) -> float:
    used = set(np.unique(predicted).tolist())
    return _mean([score.f1 for n, score in enumerate(scores) if score.support or n in used])


def _calibration(sure: np.ndarray, right: np.ndarray) -> tuple[tuple[CalibrationBin, ...], float]:
    """Bins of equal width, and the mean gap between confidence and accuracy, weighted by count."""
    place = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    most = np.maximum(counts, 1)
    confidence = np.bincount(place, sure, BINS) / most
    accuracy = np.bincount(place, right, BINS) / most
    error = float((counts * np.abs(confidence - accuracy)).sum() / max(1, counts.sum()))
    bins = tuple(
        CalibrationBin(n / BINS, (n + 1) / BINS, int(counts[n]), float(confidence[n]), float(accuracy[n]))
        for n in range(BINS)
    )
    return bins, error


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
