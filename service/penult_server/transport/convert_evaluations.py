"""From core's evidence to the wire's."""

from __future__ import annotations

from penult.v1 import evaluation_pb2 as pb
from penult_server.core.evidence import Evaluation, Evidence


def evaluation_to_wire(evaluation: Evaluation) -> pb.Evaluation:
    """All figures."""
    return pb.Evaluation(
        split=evaluation.split,
        count=evaluation.count,
        left_out=evaluation.left_out,
        multi_label=evaluation.multi_label,
        labels=evaluation.labels,
        accuracy=evaluation.accuracy,
        accuracy_low=evaluation.accuracy_low,
        accuracy_high=evaluation.accuracy_high,
        top5_accuracy=evaluation.top5_accuracy,
        balanced_accuracy=evaluation.balanced_accuracy,
        macro_f1=evaluation.macro_f1,
        micro_f1=evaluation.micro_f1,
        mean_average_precision=evaluation.mean_average_precision,
        log_loss=evaluation.log_loss,
        calibration_error=evaluation.calibration_error,
        calibration_bins=[
            pb.CalibrationBin(
                low=each.low,
                high=each.high,
                count=each.count,
                confidence=each.confidence,
                accuracy=each.accuracy,
            )
            for each in evaluation.calibration_bins
        ],
        classes=[
            pb.ClassScore(
                label=score.label,
                precision=score.precision,
                recall=score.recall,
                f1=score.f1,
                support=score.support,
                average_precision=score.average_precision,
            )
            for score in evaluation.classes
        ],
        confusion=[
            pb.ConfusionCell(true_class=true, predicted_class=predicted, count=count)
            for true, predicted, count in evaluation.confusion
        ],
        threshold=evaluation.threshold,
        reject_rate=evaluation.reject_rate,
        accepted_accuracy=evaluation.accepted_accuracy,
        mistakes=[
            pb.Mistake(
                id=mistake.id,
                true_labels=mistake.true,
                predicted_labels=mistake.predicted,
                probability=mistake.probability,
            )
            for mistake in evaluation.mistakes
        ],
    )


def evidence_to_wire(evidence: Evidence) -> pb.Evidence:
    """All of it."""
    return pb.Evidence(
        evaluation=evaluation_to_wire(evidence.evaluation),
        measured_on=evidence.measured_on,
        note=evidence.note,
        train_count=evidence.train_count,
        views=evidence.views,
        hyperparameters=evidence.hyperparameters,
        curve_score=evidence.curve_score,
        curve=[
            pb.CurvePoint(
                parameters=point.parameters,
                score=point.score,
                deviation=point.deviation,
                folds=point.folds,
                dropped=point.dropped,
            )
            for point in evidence.curve
        ],
        learning_curve=[
            pb.LearningPoint(
                images=point.images,
                accuracy=point.accuracy,
                accuracy_low=point.accuracy_low,
                accuracy_high=point.accuracy_high,
            )
            for point in evidence.learning_curve
        ],
        seconds=evidence.seconds,
        warnings=evidence.warnings,
    )
