from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelCount(_message.Message):
    __slots__ = ("label", "count", "by_split")
    class BySplitEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BY_SPLIT_FIELD_NUMBER: _ClassVar[int]
    label: str
    count: int
    by_split: _containers.ScalarMap[str, int]
    def __init__(self, label: _Optional[str] = ..., count: _Optional[int] = ..., by_split: _Optional[_Mapping[str, int]] = ...) -> None: ...

class AnalyzedExample(_message.Message):
    __slots__ = ("sha256", "id", "split", "labels", "reason", "message")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    id: str
    split: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    message: str
    def __init__(self, sha256: _Optional[str] = ..., id: _Optional[str] = ..., split: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class DuplicateGroup(_message.Message):
    __slots__ = ("examples", "count", "across_splits", "labels_differ")
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ACROSS_SPLITS_FIELD_NUMBER: _ClassVar[int]
    LABELS_DIFFER_FIELD_NUMBER: _ClassVar[int]
    examples: _containers.RepeatedCompositeFieldContainer[AnalyzedExample]
    count: int
    across_splits: bool
    labels_differ: bool
    def __init__(self, examples: _Optional[_Iterable[_Union[AnalyzedExample, _Mapping]]] = ..., count: _Optional[int] = ..., across_splits: bool = ..., labels_differ: bool = ...) -> None: ...

class DatasetAnalysis(_message.Message):
    __slots__ = ("dataset", "revision", "example_count", "labels", "split_counts", "unreadable_count", "unreadable", "tiny_count", "tiny", "duplicate_group_count", "duplicate_groups_across_splits", "duplicates", "near_duplicate_group_count", "near_duplicate_groups_across_splits", "near_duplicates", "advice")
    class SplitCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    DATASET_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    TINY_COUNT_FIELD_NUMBER: _ClassVar[int]
    TINY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_GROUP_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_GROUPS_ACROSS_SPLITS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    NEAR_DUPLICATE_GROUP_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEAR_DUPLICATE_GROUPS_ACROSS_SPLITS_FIELD_NUMBER: _ClassVar[int]
    NEAR_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    revision: int
    example_count: int
    labels: _containers.RepeatedCompositeFieldContainer[LabelCount]
    split_counts: _containers.ScalarMap[str, int]
    unreadable_count: int
    unreadable: _containers.RepeatedCompositeFieldContainer[AnalyzedExample]
    tiny_count: int
    tiny: _containers.RepeatedCompositeFieldContainer[AnalyzedExample]
    duplicate_group_count: int
    duplicate_groups_across_splits: int
    duplicates: _containers.RepeatedCompositeFieldContainer[DuplicateGroup]
    near_duplicate_group_count: int
    near_duplicate_groups_across_splits: int
    near_duplicates: _containers.RepeatedCompositeFieldContainer[DuplicateGroup]
    advice: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dataset: _Optional[str] = ..., revision: _Optional[int] = ..., example_count: _Optional[int] = ..., labels: _Optional[_Iterable[_Union[LabelCount, _Mapping]]] = ..., split_counts: _Optional[_Mapping[str, int]] = ..., unreadable_count: _Optional[int] = ..., unreadable: _Optional[_Iterable[_Union[AnalyzedExample, _Mapping]]] = ..., tiny_count: _Optional[int] = ..., tiny: _Optional[_Iterable[_Union[AnalyzedExample, _Mapping]]] = ..., duplicate_group_count: _Optional[int] = ..., duplicate_groups_across_splits: _Optional[int] = ..., duplicates: _Optional[_Iterable[_Union[DuplicateGroup, _Mapping]]] = ..., near_duplicate_group_count: _Optional[int] = ..., near_duplicate_groups_across_splits: _Optional[int] = ..., near_duplicates: _Optional[_Iterable[_Union[DuplicateGroup, _Mapping]]] = ..., advice: _Optional[_Iterable[str]] = ...) -> None: ...
