from google.protobuf import struct_pb2 as _struct_pb2
from penult.v1 import model_version_pb2 as _model_version_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TrialState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIAL_STATE_UNSPECIFIED: _ClassVar[TrialState]
    TRIAL_STATE_RUNNING: _ClassVar[TrialState]
    TRIAL_STATE_FINISHED: _ClassVar[TrialState]
    TRIAL_STATE_PRUNED: _ClassVar[TrialState]
    TRIAL_STATE_CUT: _ClassVar[TrialState]
    TRIAL_STATE_FAILED: _ClassVar[TrialState]
TRIAL_STATE_UNSPECIFIED: TrialState
TRIAL_STATE_RUNNING: TrialState
TRIAL_STATE_FINISHED: TrialState
TRIAL_STATE_PRUNED: TrialState
TRIAL_STATE_CUT: TrialState
TRIAL_STATE_FAILED: TrialState

class Trial(_message.Message):
    __slots__ = ("number", "stage", "settings", "state", "accuracies", "losses", "accuracy", "loss", "seconds", "reason", "message")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACCURACIES_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    number: int
    stage: int
    settings: _struct_pb2.Struct
    state: TrialState
    accuracies: _containers.RepeatedScalarFieldContainer[float]
    losses: _containers.RepeatedScalarFieldContainer[float]
    accuracy: float
    loss: float
    seconds: float
    reason: str
    message: str
    def __init__(self, number: _Optional[int] = ..., stage: _Optional[int] = ..., settings: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., state: _Optional[_Union[TrialState, str]] = ..., accuracies: _Optional[_Iterable[float]] = ..., losses: _Optional[_Iterable[float]] = ..., accuracy: _Optional[float] = ..., loss: _Optional[float] = ..., seconds: _Optional[float] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Tuning(_message.Message):
    __slots__ = ("model_version", "trials", "best_trial", "search", "pruner", "spaces", "validation_count", "notes", "seconds")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    BEST_TRIAL_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    PRUNER_FIELD_NUMBER: _ClassVar[int]
    SPACES_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    model_version: _model_version_pb2.ModelVersion
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    best_trial: int
    search: str
    pruner: str
    spaces: _containers.RepeatedCompositeFieldContainer[_struct_pb2.Struct]
    validation_count: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    def __init__(self, model_version: _Optional[_Union[_model_version_pb2.ModelVersion, _Mapping]] = ..., trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ..., best_trial: _Optional[int] = ..., search: _Optional[str] = ..., pruner: _Optional[str] = ..., spaces: _Optional[_Iterable[_Union[_struct_pb2.Struct, _Mapping]]] = ..., validation_count: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ...) -> None: ...
