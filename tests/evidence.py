"""An evaluation and evidence with every field set, for tests of what keeps and shows them."""

from __future__ import annotations

from penult_server.core.evidence import (
    CalibrationBin,
    ClassScore,
    CurvePoint,
    Evaluation,
    Evidence,
    LearningPoint,
    Mistake,
)

EVALUATION = Evaluation(
    split="test",
    count=20,
    left_out=1,
    multi_label=False,
    labels=("boot", "shoe"),
    accuracy=0.9,
    accuracy_low=0.7,
    accuracy_high=0.97,
    top5_accuracy=1.0,
    balanced_accuracy=0.875,
    macro_f1=0.88,
    micro_f1=0.9,
    mean_average_precision=None,
    log_loss=0.31,
    calibration_error=0.05,
    calibration_bins=(CalibrationBin(0.5, 0.75, 8, 0.625, 0.75), CalibrationBin(0.75, 1.0, 12, 0.9, 1.0)),
    classes=(ClassScore("boot", 0.8, 1.0, 0.889, 8), ClassScore("shoe", 1.0, 0.833, 0.909, 12)),
    confusion=((0, 0, 8), (1, 0, 2), (1, 1, 10)),
    threshold=0.5,
    reject_rate=0.1,
    accepted_accuracy=0.94,
    mistakes=(Mistake("ab" * 32, ("shoe",), ("boot",), 0.8),),
)
EVIDENCE = Evidence(
    evaluation=EVALUATION,
    measured_on="test",
    note="measured on 20 images of split test",
    train_count=100,
    views=2,
    hyperparameters={"C": 0.1},
    curve_score="accuracy",
    curve=(CurvePoint({"C": 0.1}, 0.91, 0.02, 5, False), CurvePoint({"C": 10.0}, 0.7, 0.1, 2, True)),
    learning_curve=(LearningPoint(50, 0.8, 0.58, 0.92), LearningPoint(100, 0.9, 0.7, 0.97)),
    seconds={"search": 1.5, "fit": 0.25},
    warnings=("1 images have no label and were left out",),
)
