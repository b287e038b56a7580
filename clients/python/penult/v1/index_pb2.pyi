from penult.v1 import dataset_pb2 as _dataset_pb2
from penult.v1 import feature_pb2 as _feature_pb2
from penult.v1 import image_pb2 as _image_pb2
from penult.v1 import index_resource_pb2 as _index_resource_pb2
from penult.v1 import job_pb2 as _job_pb2
from penult.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AddMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADD_MODE_UNSPECIFIED: _ClassVar[AddMode]
    ADD_MODE_ADD: _ClassVar[AddMode]
    ADD_MODE_UPSERT: _ClassVar[AddMode]
ADD_MODE_UNSPECIFIED: AddMode
ADD_MODE_ADD: AddMode
ADD_MODE_UPSERT: AddMode

class CreateIndexRequest(_message.Message):
    __slots__ = ("name", "spec", "options", "fingerprint", "discard_images", "label_field", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DISCARD_IMAGES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: _index_resource_pb2.IndexSpec
    options: _feature_pb2.FeatureOptions
    fingerprint: str
    discard_images: bool
    label_field: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[_index_resource_pb2.IndexSpec, _Mapping]] = ..., options: _Optional[_Union[_feature_pb2.FeatureOptions, _Mapping]] = ..., fingerprint: _Optional[str] = ..., discard_images: bool = ..., label_field: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateIndexResponse(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: _index_resource_pb2.Index
    def __init__(self, index: _Optional[_Union[_index_resource_pb2.Index, _Mapping]] = ...) -> None: ...

class GetIndexRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetIndexResponse(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: _index_resource_pb2.Index
    def __init__(self, index: _Optional[_Union[_index_resource_pb2.Index, _Mapping]] = ...) -> None: ...

class ListIndexesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListIndexesResponse(_message.Message):
    __slots__ = ("indexes", "next_page_token")
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    indexes: _containers.RepeatedCompositeFieldContainer[_index_resource_pb2.Index]
    next_page_token: str
    def __init__(self, indexes: _Optional[_Iterable[_Union[_index_resource_pb2.Index, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteIndexRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteIndexResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: int
    def __init__(self, removed: _Optional[int] = ...) -> None: ...

class NewItem(_message.Message):
    __slots__ = ("id", "metadata_json", "image")
    ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    metadata_json: str
    image: _image_pb2.Image
    def __init__(self, id: _Optional[str] = ..., metadata_json: _Optional[str] = ..., image: _Optional[_Union[_image_pb2.Image, _Mapping]] = ...) -> None: ...

class NewItems(_message.Message):
    __slots__ = ("items", "vectors", "fingerprint", "mode")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[NewItem]
    vectors: _tensor_pb2.Tensor
    fingerprint: str
    mode: AddMode
    def __init__(self, items: _Optional[_Iterable[_Union[NewItem, _Mapping]]] = ..., vectors: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., fingerprint: _Optional[str] = ..., mode: _Optional[_Union[AddMode, str]] = ...) -> None: ...

class AddReceipt(_message.Message):
    __slots__ = ("first_index", "added", "updated", "unchanged", "errors")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    added: int
    updated: int
    unchanged: int
    errors: _containers.RepeatedCompositeFieldContainer[_image_pb2.ItemError]
    def __init__(self, first_index: _Optional[int] = ..., added: _Optional[int] = ..., updated: _Optional[int] = ..., unchanged: _Optional[int] = ..., errors: _Optional[_Iterable[_Union[_image_pb2.ItemError, _Mapping]]] = ...) -> None: ...

class AddItemsRequest(_message.Message):
    __slots__ = ("index", "items", "request_id")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    index: str
    items: NewItems
    request_id: str
    def __init__(self, index: _Optional[str] = ..., items: _Optional[_Union[NewItems, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddItemsResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: AddReceipt
    def __init__(self, receipt: _Optional[_Union[AddReceipt, _Mapping]] = ...) -> None: ...

class AddItemsStreamRequest(_message.Message):
    __slots__ = ("index", "request_id", "items")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    index: str
    request_id: str
    items: NewItems
    def __init__(self, index: _Optional[str] = ..., request_id: _Optional[str] = ..., items: _Optional[_Union[NewItems, _Mapping]] = ...) -> None: ...

class AddItemsStreamResponse(_message.Message):
    __slots__ = ("receipt",)
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    receipt: AddReceipt
    def __init__(self, receipt: _Optional[_Union[AddReceipt, _Mapping]] = ...) -> None: ...

class RemoveItemsRequest(_message.Message):
    __slots__ = ("index", "ids", "request_id")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    index: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, index: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RemoveItemsResponse(_message.Message):
    __slots__ = ("removed", "missing")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    removed: int
    missing: int
    def __init__(self, removed: _Optional[int] = ..., missing: _Optional[int] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("id", "metadata_json", "image_sha256", "sequence", "image")
    ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    metadata_json: str
    image_sha256: str
    sequence: int
    image: bytes
    def __init__(self, id: _Optional[str] = ..., metadata_json: _Optional[str] = ..., image_sha256: _Optional[str] = ..., sequence: _Optional[int] = ..., image: _Optional[bytes] = ...) -> None: ...

class GetItemsRequest(_message.Message):
    __slots__ = ("index", "ids", "with_vectors", "with_images")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    WITH_IMAGES_FIELD_NUMBER: _ClassVar[int]
    index: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    with_vectors: bool
    with_images: bool
    def __init__(self, index: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., with_vectors: bool = ..., with_images: bool = ...) -> None: ...

class GetItemsResponse(_message.Message):
    __slots__ = ("items", "vectors")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    vectors: _tensor_pb2.Tensor
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., vectors: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class ListItemsRequest(_message.Message):
    __slots__ = ("index", "page_size", "page_token", "filter")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    index: str
    page_size: int
    page_token: str
    filter: str
    def __init__(self, index: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class ListItemsResponse(_message.Message):
    __slots__ = ("items", "next_page_token")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    next_page_token: str
    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AddDatasetRequest(_message.Message):
    __slots__ = ("index", "dataset", "splits", "request_id")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    index: str
    dataset: str
    splits: _containers.RepeatedScalarFieldContainer[_dataset_pb2.Split]
    request_id: str
    def __init__(self, index: _Optional[str] = ..., dataset: _Optional[str] = ..., splits: _Optional[_Iterable[_Union[_dataset_pb2.Split, str]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddDatasetResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("index", "images", "ids", "vectors", "fingerprint", "k", "filter", "min_score", "exclude_ids", "with_vectors", "query_tta", "in_columns")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_IDS_FIELD_NUMBER: _ClassVar[int]
    WITH_VECTORS_FIELD_NUMBER: _ClassVar[int]
    QUERY_TTA_FIELD_NUMBER: _ClassVar[int]
    IN_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    index: str
    images: _containers.RepeatedCompositeFieldContainer[_image_pb2.Image]
    ids: _containers.RepeatedScalarFieldContainer[str]
    vectors: _tensor_pb2.Tensor
    fingerprint: str
    k: int
    filter: str
    min_score: float
    exclude_ids: _containers.RepeatedScalarFieldContainer[str]
    with_vectors: bool
    query_tta: _feature_pb2.TestTimeAugmentation
    in_columns: bool
    def __init__(self, index: _Optional[str] = ..., images: _Optional[_Iterable[_Union[_image_pb2.Image, _Mapping]]] = ..., ids: _Optional[_Iterable[str]] = ..., vectors: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., fingerprint: _Optional[str] = ..., k: _Optional[int] = ..., filter: _Optional[str] = ..., min_score: _Optional[float] = ..., exclude_ids: _Optional[_Iterable[str]] = ..., with_vectors: bool = ..., query_tta: _Optional[_Union[_feature_pb2.TestTimeAugmentation, _Mapping]] = ..., in_columns: bool = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("id", "score", "metadata_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    score: float
    metadata_json: str
    def __init__(self, id: _Optional[str] = ..., score: _Optional[float] = ..., metadata_json: _Optional[str] = ...) -> None: ...

class Hits(_message.Message):
    __slots__ = ("hits", "vectors")
    HITS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    vectors: _tensor_pb2.Tensor
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., vectors: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class HitColumns(_message.Message):
    __slots__ = ("counts", "ids", "scores", "metadata_json", "vectors")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedScalarFieldContainer[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    scores: _tensor_pb2.Tensor
    metadata_json: str
    vectors: _tensor_pb2.Tensor
    def __init__(self, counts: _Optional[_Iterable[int]] = ..., ids: _Optional[_Iterable[str]] = ..., scores: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., metadata_json: _Optional[str] = ..., vectors: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("results", "errors", "columns")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Hits]
    errors: _containers.RepeatedCompositeFieldContainer[_image_pb2.ItemError]
    columns: HitColumns
    def __init__(self, results: _Optional[_Iterable[_Union[Hits, _Mapping]]] = ..., errors: _Optional[_Iterable[_Union[_image_pb2.ItemError, _Mapping]]] = ..., columns: _Optional[_Union[HitColumns, _Mapping]] = ...) -> None: ...

class SearchStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SearchRequest
    def __init__(self, request: _Optional[_Union[SearchRequest, _Mapping]] = ...) -> None: ...

class SearchStreamResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: SearchResponse
    def __init__(self, response: _Optional[_Union[SearchResponse, _Mapping]] = ...) -> None: ...

class EvaluateIndexRequest(_message.Message):
    __slots__ = ("index", "k", "sample")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    index: str
    k: int
    sample: int
    def __init__(self, index: _Optional[str] = ..., k: _Optional[int] = ..., sample: _Optional[int] = ...) -> None: ...

class EvaluateIndexResponse(_message.Message):
    __slots__ = ("evaluation",)
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    evaluation: _index_resource_pb2.IndexEvaluation
    def __init__(self, evaluation: _Optional[_Union[_index_resource_pb2.IndexEvaluation, _Mapping]] = ...) -> None: ...

class OptimizeIndexRequest(_message.Message):
    __slots__ = ("index", "request_id")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    index: str
    request_id: str
    def __init__(self, index: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class OptimizeIndexResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class GetIndexStatsRequest(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: str
    def __init__(self, index: _Optional[str] = ...) -> None: ...

class GetIndexStatsResponse(_message.Message):
    __slots__ = ("stats",)
    STATS_FIELD_NUMBER: _ClassVar[int]
    stats: _index_resource_pb2.IndexStats
    def __init__(self, stats: _Optional[_Union[_index_resource_pb2.IndexStats, _Mapping]] = ...) -> None: ...

class SnapshotIndexRequest(_message.Message):
    __slots__ = ("index", "without_images")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_IMAGES_FIELD_NUMBER: _ClassVar[int]
    index: str
    without_images: bool
    def __init__(self, index: _Optional[str] = ..., without_images: bool = ...) -> None: ...

class SnapshotIndexResponse(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: FileHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[FileHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class FileHeader(_message.Message):
    __slots__ = ("size_bytes", "sha256")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    sha256: str
    def __init__(self, size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class RestoreIndexHeader(_message.Message):
    __slots__ = ("name", "file", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    file: FileHeader
    request_id: str
    def __init__(self, name: _Optional[str] = ..., file: _Optional[_Union[FileHeader, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RestoreIndexRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: RestoreIndexHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[RestoreIndexHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class RestoreIndexResponse(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: _index_resource_pb2.Index
    def __init__(self, index: _Optional[_Union[_index_resource_pb2.Index, _Mapping]] = ...) -> None: ...

class SetIndexAliasRequest(_message.Message):
    __slots__ = ("alias", "index", "request_id")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    alias: str
    index: str
    request_id: str
    def __init__(self, alias: _Optional[str] = ..., index: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetIndexAliasResponse(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: _index_resource_pb2.Index
    def __init__(self, index: _Optional[_Union[_index_resource_pb2.Index, _Mapping]] = ...) -> None: ...

class DeleteIndexAliasRequest(_message.Message):
    __slots__ = ("alias", "request_id")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    alias: str
    request_id: str
    def __init__(self, alias: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteIndexAliasResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReembedIndexRequest(_message.Message):
    __slots__ = ("index", "options", "new_name", "alias", "request_id")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    NEW_NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    index: str
    options: _feature_pb2.FeatureOptions
    new_name: str
    alias: str
    request_id: str
    def __init__(self, index: _Optional[str] = ..., options: _Optional[_Union[_feature_pb2.FeatureOptions, _Mapping]] = ..., new_name: _Optional[str] = ..., alias: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ReembedIndexResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class FindNearDuplicatesRequest(_message.Message):
    __slots__ = ("index", "threshold", "request_id", "dataset", "backbone")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    index: str
    threshold: float
    request_id: str
    dataset: str
    backbone: str
    def __init__(self, index: _Optional[str] = ..., threshold: _Optional[float] = ..., request_id: _Optional[str] = ..., dataset: _Optional[str] = ..., backbone: _Optional[str] = ...) -> None: ...

class FindNearDuplicatesResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...
