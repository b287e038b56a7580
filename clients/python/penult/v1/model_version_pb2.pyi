import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penult.v1 import evaluation_pb2 as _evaluation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_KIND_UNSPECIFIED: _ClassVar[ModelKind]
    MODEL_KIND_HEAD: _ClassVar[ModelKind]
    MODEL_KIND_ENSEMBLE: _ClassVar[ModelKind]
    MODEL_KIND_FINE_TUNED: _ClassVar[ModelKind]
MODEL_KIND_UNSPECIFIED: ModelKind
MODEL_KIND_HEAD: ModelKind
MODEL_KIND_ENSEMBLE: ModelKind
MODEL_KIND_FINE_TUNED: ModelKind

class Lineage(_message.Message):
    __slots__ = ("dataset", "dataset_revision", "example_count", "dataset_sha256", "backbone", "fingerprint", "head", "parameters", "augment", "code_version", "parent", "job", "start_backbone", "start_weights_sha256", "variant")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DATASET_REVISION_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    DATASET_SHA256_FIELD_NUMBER: _ClassVar[int]
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    AUGMENT_FIELD_NUMBER: _ClassVar[int]
    CODE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    START_BACKBONE_FIELD_NUMBER: _ClassVar[int]
    START_WEIGHTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    dataset_revision: int
    example_count: int
    dataset_sha256: str
    backbone: str
    fingerprint: str
    head: str
    parameters: _struct_pb2.Struct
    augment: str
    code_version: str
    parent: str
    job: str
    start_backbone: str
    start_weights_sha256: str
    variant: str
    def __init__(self, dataset: _Optional[str] = ..., dataset_revision: _Optional[int] = ..., example_count: _Optional[int] = ..., dataset_sha256: _Optional[str] = ..., backbone: _Optional[str] = ..., fingerprint: _Optional[str] = ..., head: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., augment: _Optional[str] = ..., code_version: _Optional[str] = ..., parent: _Optional[str] = ..., job: _Optional[str] = ..., start_backbone: _Optional[str] = ..., start_weights_sha256: _Optional[str] = ..., variant: _Optional[str] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("model", "version", "create_time", "kind", "labels", "multi_label", "threshold", "lineage", "members", "metrics", "aliases", "size_bytes", "evidence")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MULTI_LABEL_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    create_time: _timestamp_pb2.Timestamp
    kind: ModelKind
    labels: _containers.RepeatedScalarFieldContainer[str]
    multi_label: bool
    threshold: float
    lineage: Lineage
    members: _containers.RepeatedScalarFieldContainer[str]
    metrics: _containers.ScalarMap[str, float]
    aliases: _containers.RepeatedScalarFieldContainer[str]
    size_bytes: int
    evidence: _evaluation_pb2.Evidence
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[_Union[ModelKind, str]] = ..., labels: _Optional[_Iterable[str]] = ..., multi_label: bool = ..., threshold: _Optional[float] = ..., lineage: _Optional[_Union[Lineage, _Mapping]] = ..., members: _Optional[_Iterable[str]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., aliases: _Optional[_Iterable[str]] = ..., size_bytes: _Optional[int] = ..., evidence: _Optional[_Union[_evaluation_pb2.Evidence, _Mapping]] = ...) -> None: ...
