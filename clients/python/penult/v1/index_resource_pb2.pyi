import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penult.v1 import feature_pb2 as _feature_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IndexMetric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_METRIC_UNSPECIFIED: _ClassVar[IndexMetric]
    INDEX_METRIC_COSINE: _ClassVar[IndexMetric]
    INDEX_METRIC_INNER_PRODUCT: _ClassVar[IndexMetric]
    INDEX_METRIC_L2: _ClassVar[IndexMetric]

class IndexPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_PHASE_UNSPECIFIED: _ClassVar[IndexPhase]
    INDEX_PHASE_LOADING: _ClassVar[IndexPhase]
    INDEX_PHASE_READY: _ClassVar[IndexPhase]
INDEX_METRIC_UNSPECIFIED: IndexMetric
INDEX_METRIC_COSINE: IndexMetric
INDEX_METRIC_INNER_PRODUCT: IndexMetric
INDEX_METRIC_L2: IndexMetric
INDEX_PHASE_UNSPECIFIED: IndexPhase
INDEX_PHASE_LOADING: IndexPhase
INDEX_PHASE_READY: IndexPhase

class RetrievalStep(_message.Message):
    __slots__ = ("name", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class IndexSpec(_message.Message):
    __slots__ = ("dim", "metric", "kind", "parameters", "steps", "memory_bytes")
    DIM_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    dim: int
    metric: IndexMetric
    kind: str
    parameters: _struct_pb2.Struct
    steps: _containers.RepeatedCompositeFieldContainer[RetrievalStep]
    memory_bytes: int
    def __init__(self, dim: _Optional[int] = ..., metric: _Optional[_Union[IndexMetric, str]] = ..., kind: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[RetrievalStep, _Mapping]]] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("name", "spec", "options", "fingerprint", "keeps_images", "label_field", "create_time", "item_count", "sequence", "aliases", "phase", "loading_progress")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    KEEPS_IMAGES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LOADING_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: IndexSpec
    options: _feature_pb2.FeatureOptions
    fingerprint: str
    keeps_images: bool
    label_field: str
    create_time: _timestamp_pb2.Timestamp
    item_count: int
    sequence: int
    aliases: _containers.RepeatedScalarFieldContainer[str]
    phase: IndexPhase
    loading_progress: float
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[IndexSpec, _Mapping]] = ..., options: _Optional[_Union[_feature_pb2.FeatureOptions, _Mapping]] = ..., fingerprint: _Optional[str] = ..., keeps_images: bool = ..., label_field: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., item_count: _Optional[int] = ..., sequence: _Optional[int] = ..., aliases: _Optional[_Iterable[str]] = ..., phase: _Optional[_Union[IndexPhase, str]] = ..., loading_progress: _Optional[float] = ...) -> None: ...

class IndexStats(_message.Message):
    __slots__ = ("item_count", "kind", "factory", "why", "memory_bytes", "vector_bytes", "trained_on", "tombstones", "pending", "recall_at_10", "device", "search", "steps", "sequence", "snapshot_sequence", "snapshot_bytes", "image_count", "queries", "search_ms_p50", "search_ms_p95", "load_seconds", "loaded_from", "optimizing")
    class SearchEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FACTORY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    VECTOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    TRAINED_ON_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONES_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RECALL_AT_10_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    SEARCH_MS_P50_FIELD_NUMBER: _ClassVar[int]
    SEARCH_MS_P95_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOADED_FROM_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZING_FIELD_NUMBER: _ClassVar[int]
    item_count: int
    kind: str
    factory: str
    why: str
    memory_bytes: int
    vector_bytes: int
    trained_on: int
    tombstones: int
    pending: int
    recall_at_10: float
    device: str
    search: _containers.ScalarMap[str, int]
    steps: _containers.RepeatedScalarFieldContainer[str]
    sequence: int
    snapshot_sequence: int
    snapshot_bytes: int
    image_count: int
    queries: int
    search_ms_p50: float
    search_ms_p95: float
    load_seconds: float
    loaded_from: str
    optimizing: bool
    def __init__(self, item_count: _Optional[int] = ..., kind: _Optional[str] = ..., factory: _Optional[str] = ..., why: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., vector_bytes: _Optional[int] = ..., trained_on: _Optional[int] = ..., tombstones: _Optional[int] = ..., pending: _Optional[int] = ..., recall_at_10: _Optional[float] = ..., device: _Optional[str] = ..., search: _Optional[_Mapping[str, int]] = ..., steps: _Optional[_Iterable[str]] = ..., sequence: _Optional[int] = ..., snapshot_sequence: _Optional[int] = ..., snapshot_bytes: _Optional[int] = ..., image_count: _Optional[int] = ..., queries: _Optional[int] = ..., search_ms_p50: _Optional[float] = ..., search_ms_p95: _Optional[float] = ..., load_seconds: _Optional[float] = ..., loaded_from: _Optional[str] = ..., optimizing: bool = ...) -> None: ...

class IndexEvaluation(_message.Message):
    __slots__ = ("k", "queries", "recall", "labelled_queries", "precision", "mean_average_precision", "label_recall", "top_1")
    K_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    LABELLED_QUERIES_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    MEAN_AVERAGE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    LABEL_RECALL_FIELD_NUMBER: _ClassVar[int]
    TOP_1_FIELD_NUMBER: _ClassVar[int]
    k: int
    queries: int
    recall: float
    labelled_queries: int
    precision: float
    mean_average_precision: float
    label_recall: float
    top_1: float
    def __init__(self, k: _Optional[int] = ..., queries: _Optional[int] = ..., recall: _Optional[float] = ..., labelled_queries: _Optional[int] = ..., precision: _Optional[float] = ..., mean_average_precision: _Optional[float] = ..., label_recall: _Optional[float] = ..., top_1: _Optional[float] = ...) -> None: ...

class DuplicateItem(_message.Message):
    __slots__ = ("id", "image_sha256", "metadata_json", "cosine", "has_image")
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SHA256_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    COSINE_FIELD_NUMBER: _ClassVar[int]
    HAS_IMAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    image_sha256: str
    metadata_json: str
    cosine: float
    has_image: bool
    def __init__(self, id: _Optional[str] = ..., image_sha256: _Optional[str] = ..., metadata_json: _Optional[str] = ..., cosine: _Optional[float] = ..., has_image: bool = ...) -> None: ...

class DuplicateItems(_message.Message):
    __slots__ = ("items", "count", "exact")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[DuplicateItem]
    count: int
    exact: bool
    def __init__(self, items: _Optional[_Iterable[_Union[DuplicateItem, _Mapping]]] = ..., count: _Optional[int] = ..., exact: bool = ...) -> None: ...

class NearDuplicates(_message.Message):
    __slots__ = ("index", "sequence", "threshold", "item_count", "group_count", "redundant_count", "groups", "dataset")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    GROUP_COUNT_FIELD_NUMBER: _ClassVar[int]
    REDUNDANT_COUNT_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    index: str
    sequence: int
    threshold: float
    item_count: int
    group_count: int
    redundant_count: int
    groups: _containers.RepeatedCompositeFieldContainer[DuplicateItems]
    dataset: str
    def __init__(self, index: _Optional[str] = ..., sequence: _Optional[int] = ..., threshold: _Optional[float] = ..., item_count: _Optional[int] = ..., group_count: _Optional[int] = ..., redundant_count: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[DuplicateItems, _Mapping]]] = ..., dataset: _Optional[str] = ...) -> None: ...
