import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penult.v1 import image_pb2 as _image_pb2
from penult.v1 import job_pb2 as _job_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Split(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPLIT_UNSPECIFIED: _ClassVar[Split]
    SPLIT_UNASSIGNED: _ClassVar[Split]
    SPLIT_TRAIN: _ClassVar[Split]
    SPLIT_VALIDATION: _ClassVar[Split]
    SPLIT_TEST: _ClassVar[Split]
SPLIT_UNSPECIFIED: Split
SPLIT_UNASSIGNED: Split
SPLIT_TRAIN: Split
SPLIT_VALIDATION: Split
SPLIT_TEST: Split

class SplitCounts(_message.Message):
    __slots__ = ("unassigned", "train", "validation", "test")
    UNASSIGNED_FIELD_NUMBER: _ClassVar[int]
    TRAIN_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    unassigned: int
    train: int
    validation: int
    test: int
    def __init__(self, unassigned: _Optional[int] = ..., train: _Optional[int] = ..., validation: _Optional[int] = ..., test: _Optional[int] = ...) -> None: ...

class ClassCount(_message.Message):
    __slots__ = ("label", "counts")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    label: str
    counts: SplitCounts
    def __init__(self, label: _Optional[str] = ..., counts: _Optional[_Union[SplitCounts, _Mapping]] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("name", "multi_label", "create_time", "revision", "counts", "size_bytes", "classes", "unlabelled")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MULTI_LABEL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    UNLABELLED_FIELD_NUMBER: _ClassVar[int]
    name: str
    multi_label: bool
    create_time: _timestamp_pb2.Timestamp
    revision: int
    counts: SplitCounts
    size_bytes: int
    classes: _containers.RepeatedCompositeFieldContainer[ClassCount]
    unlabelled: SplitCounts
    def __init__(self, name: _Optional[str] = ..., multi_label: bool = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., counts: _Optional[_Union[SplitCounts, _Mapping]] = ..., size_bytes: _Optional[int] = ..., classes: _Optional[_Iterable[_Union[ClassCount, _Mapping]]] = ..., unlabelled: _Optional[_Union[SplitCounts, _Mapping]] = ...) -> None: ...

class Example(_message.Message):
    __slots__ = ("sha256", "labels", "split", "metadata_json", "id", "width", "height", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    split: Split
    metadata_json: str
    id: str
    width: int
    height: int
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., split: _Optional[_Union[Split, str]] = ..., metadata_json: _Optional[str] = ..., id: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ExampleFilter(_message.Message):
    __slots__ = ("splits", "labels", "unlabelled")
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    UNLABELLED_FIELD_NUMBER: _ClassVar[int]
    splits: _containers.RepeatedScalarFieldContainer[Split]
    labels: _containers.RepeatedScalarFieldContainer[str]
    unlabelled: bool
    def __init__(self, splits: _Optional[_Iterable[_Union[Split, str]]] = ..., labels: _Optional[_Iterable[str]] = ..., unlabelled: bool = ...) -> None: ...

class CreateDatasetRequest(_message.Message):
    __slots__ = ("name", "multi_label", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MULTI_LABEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    multi_label: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., multi_label: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "next_page_token")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteDatasetResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    def __init__(self, deleted: _Optional[int] = ...) -> None: ...

class NewExample(_message.Message):
    __slots__ = ("image", "labels", "split", "metadata_json")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    image: _image_pb2.Image
    labels: _containers.RepeatedScalarFieldContainer[str]
    split: Split
    metadata_json: str
    def __init__(self, image: _Optional[_Union[_image_pb2.Image, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., split: _Optional[_Union[Split, str]] = ..., metadata_json: _Optional[str] = ...) -> None: ...

class UploadExamplesRequest(_message.Message):
    __slots__ = ("dataset", "request_id", "examples")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    request_id: str
    examples: _containers.RepeatedCompositeFieldContainer[NewExample]
    def __init__(self, dataset: _Optional[str] = ..., request_id: _Optional[str] = ..., examples: _Optional[_Iterable[_Union[NewExample, _Mapping]]] = ...) -> None: ...

class UploadExamplesResponse(_message.Message):
    __slots__ = ("first_index", "added", "unchanged", "errors")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    added: int
    unchanged: int
    errors: _containers.RepeatedCompositeFieldContainer[_image_pb2.ItemError]
    def __init__(self, first_index: _Optional[int] = ..., added: _Optional[int] = ..., unchanged: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[_image_pb2.ItemError, _Mapping]]] = ...) -> None: ...

class ListExamplesRequest(_message.Message):
    __slots__ = ("dataset", "page_size", "page_token", "filter")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    page_size: int
    page_token: str
    filter: ExampleFilter
    def __init__(self, dataset: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[_Union[ExampleFilter, _Mapping]] = ...) -> None: ...

class ListExamplesResponse(_message.Message):
    __slots__ = ("examples", "next_page_token")
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    examples: _containers.RepeatedCompositeFieldContainer[Example]
    next_page_token: str
    def __init__(self, examples: _Optional[_Iterable[_Union[Example, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Labels(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class ExampleChange(_message.Message):
    __slots__ = ("sha256", "labels", "split")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    labels: Labels
    split: Split
    def __init__(self, sha256: _Optional[str] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ..., split: _Optional[_Union[Split, str]] = ...) -> None: ...

class RelabelExamplesRequest(_message.Message):
    __slots__ = ("dataset", "changes", "request_id")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    changes: _containers.RepeatedCompositeFieldContainer[ExampleChange]
    request_id: str
    def __init__(self, dataset: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[ExampleChange, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RelabelExamplesResponse(_message.Message):
    __slots__ = ("changed", "unchanged", "errors")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    changed: int
    unchanged: int
    errors: _containers.RepeatedCompositeFieldContainer[_image_pb2.ItemError]
    def __init__(self, changed: _Optional[int] = ..., unchanged: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[_image_pb2.ItemError, _Mapping]]] = ...) -> None: ...

class SplitFractions(_message.Message):
    __slots__ = ("train", "validation", "test")
    TRAIN_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    train: float
    validation: float
    test: float
    def __init__(self, train: _Optional[float] = ..., validation: _Optional[float] = ..., test: _Optional[float] = ...) -> None: ...

class SplitDatasetRequest(_message.Message):
    __slots__ = ("dataset", "fractions", "seed", "by_hash", "reassign", "request_id")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FRACTIONS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    BY_HASH_FIELD_NUMBER: _ClassVar[int]
    REASSIGN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    fractions: SplitFractions
    seed: int
    by_hash: bool
    reassign: bool
    request_id: str
    def __init__(self, dataset: _Optional[str] = ..., fractions: _Optional[_Union[SplitFractions, _Mapping]] = ..., seed: _Optional[int] = ..., by_hash: bool = ..., reassign: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class SplitDatasetResponse(_message.Message):
    __slots__ = ("dataset", "changed")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    changed: int
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ..., changed: _Optional[int] = ...) -> None: ...

class DeleteExamplesRequest(_message.Message):
    __slots__ = ("dataset", "sha256", "request_id")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    sha256: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, dataset: _Optional[str] = ..., sha256: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteExamplesResponse(_message.Message):
    __slots__ = ("deleted", "missing")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    missing: int
    def __init__(self, deleted: _Optional[int] = ..., missing: _Optional[int] = ...) -> None: ...

class GetExampleImagesRequest(_message.Message):
    __slots__ = ("dataset", "sha256")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    sha256: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dataset: _Optional[str] = ..., sha256: _Optional[_Iterable[str]] = ...) -> None: ...

class ExampleImage(_message.Message):
    __slots__ = ("sha256", "image")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    image: bytes
    def __init__(self, sha256: _Optional[str] = ..., image: _Optional[bytes] = ...) -> None: ...

class GetExampleImagesResponse(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ExampleImage]
    def __init__(self, images: _Optional[_Iterable[_Union[ExampleImage, _Mapping]]] = ...) -> None: ...

class ExportManifestRequest(_message.Message):
    __slots__ = ("dataset", "filter")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    filter: ExampleFilter
    def __init__(self, dataset: _Optional[str] = ..., filter: _Optional[_Union[ExampleFilter, _Mapping]] = ...) -> None: ...

class ExportManifestResponse(_message.Message):
    __slots__ = ("examples", "revision")
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    examples: _containers.RepeatedCompositeFieldContainer[Example]
    revision: int
    def __init__(self, examples: _Optional[_Iterable[_Union[Example, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class AnalyzeDatasetRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AnalyzeDatasetResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...
