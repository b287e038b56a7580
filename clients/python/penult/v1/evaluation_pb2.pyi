from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClassScore(_message.Message):
    __slots__ = ("label", "precision", "recall", "f1", "support", "average_precision")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    F1_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    label: str
    precision: float
    recall: float
    f1: float
    support: int
    average_precision: float
    def __init__(self, label: _Optional[str] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., f1: _Optional[float] = ..., support: _Optional[int] = ..., average_precision: _Optional[float] = ...) -> None: ...

class CalibrationBin(_message.Message):
    __slots__ = ("low", "high", "count", "confidence", "accuracy")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., count: _Optional[int] = ..., confidence: _Optional[float] = ..., accuracy: _Optional[float] = ...) -> None: ...

class ConfusionCell(_message.Message):
    __slots__ = ("true_class", "predicted_class", "count")
    TRUE_CLASS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_CLASS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    true_class: int
    predicted_class: int
    count: int
    def __init__(self, true_class: _Optional[int] = ..., predicted_class: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class Mistake(_message.Message):
    __slots__ = ("id", "true_labels", "predicted_labels", "probability")
    ID_FIELD_NUMBER: _ClassVar[int]
    TRUE_LABELS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_LABELS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    true_labels: _containers.RepeatedScalarFieldContainer[str]
    predicted_labels: _containers.RepeatedScalarFieldContainer[str]
    probability: float
    def __init__(self, id: _Optional[str] = ..., true_labels: _Optional[_Iterable[str]] = ..., predicted_labels: _Optional[_Iterable[str]] = ..., probability: _Optional[float] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("split", "count", "left_out", "multi_label", "labels", "accuracy", "accuracy_low", "accuracy_high", "top5_accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "mean_average_precision", "log_loss", "calibration_error", "calibration_bins", "classes", "confusion", "threshold", "reject_rate", "accepted_accuracy", "mistakes")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    MULTI_LABEL_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_LOW_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_HIGH_FIELD_NUMBER: _ClassVar[int]
    TOP5_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    BALANCED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    MACRO_F1_FIELD_NUMBER: _ClassVar[int]
    MICRO_F1_FIELD_NUMBER: _ClassVar[int]
    MEAN_AVERAGE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    LOG_LOSS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_BINS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CONFUSION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REJECT_RATE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    MISTAKES_FIELD_NUMBER: _ClassVar[int]
    split: str
    count: int
    left_out: int
    multi_label: bool
    labels: _containers.RepeatedScalarFieldContainer[str]
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    top5_accuracy: float
    balanced_accuracy: float
    macro_f1: float
    micro_f1: float
    mean_average_precision: float
    log_loss: float
    calibration_error: float
    calibration_bins: _containers.RepeatedCompositeFieldContainer[CalibrationBin]
    classes: _containers.RepeatedCompositeFieldContainer[ClassScore]
    confusion: _containers.RepeatedCompositeFieldContainer[ConfusionCell]
    threshold: float
    reject_rate: float
    accepted_accuracy: float
    mistakes: _containers.RepeatedCompositeFieldContainer[Mistake]
    def __init__(self, split: _Optional[str] = ..., count: _Optional[int] = ..., left_out: _Optional[int] = ..., multi_label: bool = ..., labels: _Optional[_Iterable[str]] = ..., accuracy: _Optional[float] = ..., accuracy_low: _Optional[float] = ..., accuracy_high: _Optional[float] = ..., top5_accuracy: _Optional[float] = ..., balanced_accuracy: _Optional[float] = ..., macro_f1: _Optional[float] = ..., micro_f1: _Optional[float] = ..., mean_average_precision: _Optional[float] = ..., log_loss: _Optional[float] = ..., calibration_error: _Optional[float] = ..., calibration_bins: _Optional[_Iterable[_Union[CalibrationBin, _Mapping]]] = ..., classes: _Optional[_Iterable[_Union[ClassScore, _Mapping]]] = ..., confusion: _Optional[_Iterable[_Union[ConfusionCell, _Mapping]]] = ..., threshold: _Optional[float] = ..., reject_rate: _Optional[float] = ..., accepted_accuracy: _Optional[float] = ..., mistakes: _Optional[_Iterable[_Union[Mistake, _Mapping]]] = ...) -> None: ...

class CurvePoint(_message.Message):
    __slots__ = ("parameters", "score", "deviation", "folds", "dropped")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.ScalarMap[str, float]
    score: float
    deviation: float
    folds: int
    dropped: bool
    def __init__(self, parameters: _Optional[_Mapping[str, float]] = ..., score: _Optional[float] = ..., deviation: _Optional[float] = ..., folds: _Optional[int] = ..., dropped: bool = ...) -> None: ...

class LearningPoint(_message.Message):
    __slots__ = ("images", "accuracy", "accuracy_low", "accuracy_high")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_LOW_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_HIGH_FIELD_NUMBER: _ClassVar[int]
    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    def __init__(self, images: _Optional[int] = ..., accuracy: _Optional[float] = ..., accuracy_low: _Optional[float] = ..., accuracy_high: _Optional[float] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("evaluation", "measured_on", "note", "train_count", "views", "hyperparameters", "curve_score", "curve", "learning_curve", "seconds", "warnings")
    class HyperparametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class SecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    MEASURED_ON_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    TRAIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    VIEWS_FIELD_NUMBER: _ClassVar[int]
    HYPERPARAMETERS_FIELD_NUMBER: _ClassVar[int]
    CURVE_SCORE_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_CURVE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    evaluation: Evaluation
    measured_on: str
    note: str
    train_count: int
    views: int
    hyperparameters: _containers.ScalarMap[str, float]
    curve_score: str
    curve: _containers.RepeatedCompositeFieldContainer[CurvePoint]
    learning_curve: _containers.RepeatedCompositeFieldContainer[LearningPoint]
    seconds: _containers.ScalarMap[str, float]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., measured_on: _Optional[str] = ..., note: _Optional[str] = ..., train_count: _Optional[int] = ..., views: _Optional[int] = ..., hyperparameters: _Optional[_Mapping[str, float]] = ..., curve_score: _Optional[str] = ..., curve: _Optional[_Iterable[_Union[CurvePoint, _Mapping]]] = ..., learning_curve: _Optional[_Iterable[_Union[LearningPoint, _Mapping]]] = ..., seconds: _Optional[_Mapping[str, float]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...
