"""The messages of evaluation.proto as results."""

from __future__ import annotations

from typing import Any

from penult.evaluation_types import (
    CalibrationBin,
    ClassScore,
    CurvePoint,
    Evaluation,
    Evidence,
    LearningPoint,
    Mistake,
)
from penult.v1 import evaluation_pb2 as pb


def evaluation(message: pb.Evaluation) -> Evaluation:
    """The evaluation without its message."""
    return Evaluation(
        split=message.split,
        count=message.count,
        left_out=message.left_out,
        multi_label=message.multi_label,
        labels=tuple(message.labels),
        accuracy=message.accuracy,
        accuracy_low=message.accuracy_low,
        accuracy_high=message.accuracy_high,
        top5_accuracy=_maybe(message, "top5_accuracy"),
        balanced_accuracy=message.balanced_accuracy,
        macro_f1=message.macro_f1,
        micro_f1=message.micro_f1,
        mean_average_precision=_maybe(message, "mean_average_precision"),
        log_loss=message.log_loss,
        calibration_error=message.calibration_error,
        calibration_bins=tuple(
            CalibrationBin(each.low, each.high, each.count, each.confidence, each.accuracy)
            for each in message.calibration_bins
        ),
        classes=tuple(map(_class_score, message.classes)),
        confusion=tuple((cell.true_class, cell.predicted_class, cell.count) for cell in message.confusion),
        threshold=_maybe(message, "threshold"),
        reject_rate=_maybe(message, "reject_rate"),
        accepted_accuracy=_maybe(message, "accepted_accuracy"),
        mistakes=tuple(
            Mistake(each.id, tuple(each.true_labels), tuple(each.predicted_labels), each.probability)
            for each in message.mistakes
        ),
    )


def evidence(message: pb.Evidence) -> Evidence:
    """The evidence without its message."""
    return Evidence(
        evaluation=evaluation(message.evaluation),
        measured_on=message.measured_on,
        note=message.note,
        train_count=message.train_count,
        views=message.views,
        hyperparameters=dict(message.hyperparameters),
        curve_score=message.curve_score,
        curve=tuple(
            CurvePoint(dict(point.parameters), point.score, point.deviation, point.folds, point.dropped)
            for point in message.curve
        ),
        learning_curve=tuple(
            LearningPoint(point.images, point.accuracy, point.accuracy_low, point.accuracy_high)
            for point in message.learning_curve
        ),
        seconds=dict(message.seconds),
        warnings=tuple(message.warnings),
    )


def _class_score(message: pb.ClassScore) -> ClassScore:
    return ClassScore(
        message.label, message.precision, message.recall, message.f1, message.support,
        _maybe(message, "average_precision"),
    )  # fmt: skip


def _maybe(message: Any, field: str) -> float | None:
    return float(getattr(message, field)) if message.HasField(field) else None
