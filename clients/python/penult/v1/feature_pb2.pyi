from penult.v1 import image_pb2 as _image_pb2
from penult.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pooling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOLING_UNSPECIFIED: _ClassVar[Pooling]
    POOLING_AVG: _ClassVar[Pooling]
    POOLING_MAX: _ClassVar[Pooling]
    POOLING_AVG_MAX: _ClassVar[Pooling]
    POOLING_TOKEN: _ClassVar[Pooling]

class Crops(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CROPS_UNSPECIFIED: _ClassVar[Crops]
    CROPS_FIVE: _ClassVar[Crops]
POOLING_UNSPECIFIED: Pooling
POOLING_AVG: Pooling
POOLING_MAX: Pooling
POOLING_AVG_MAX: Pooling
POOLING_TOKEN: Pooling
CROPS_UNSPECIFIED: Crops
CROPS_FIVE: Crops

class TestTimeAugmentation(_message.Message):
    __slots__ = ("flip", "crops", "scales")
    FLIP_FIELD_NUMBER: _ClassVar[int]
    CROPS_FIELD_NUMBER: _ClassVar[int]
    SCALES_FIELD_NUMBER: _ClassVar[int]
    flip: bool
    crops: Crops
    scales: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, flip: bool = ..., crops: _Optional[_Union[Crops, str]] = ..., scales: _Optional[_Iterable[float]] = ...) -> None: ...

class FeatureOptions(_message.Message):
    __slots__ = ("backbone", "dtype", "l2_normalize", "layer", "pooling", "tta")
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    L2_NORMALIZE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    POOLING_FIELD_NUMBER: _ClassVar[int]
    TTA_FIELD_NUMBER: _ClassVar[int]
    backbone: str
    dtype: _tensor_pb2.DataType
    l2_normalize: bool
    layer: str
    pooling: Pooling
    tta: TestTimeAugmentation
    def __init__(self, backbone: _Optional[str] = ..., dtype: _Optional[_Union[_tensor_pb2.DataType, str]] = ..., l2_normalize: bool = ..., layer: _Optional[str] = ..., pooling: _Optional[_Union[Pooling, str]] = ..., tta: _Optional[_Union[TestTimeAugmentation, _Mapping]] = ...) -> None: ...

class ExtractRequest(_message.Message):
    __slots__ = ("options", "images")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    options: FeatureOptions
    images: _containers.RepeatedCompositeFieldContainer[_image_pb2.Image]
    def __init__(self, options: _Optional[_Union[FeatureOptions, _Mapping]] = ..., images: _Optional[_Iterable[_Union[_image_pb2.Image, _Mapping]]] = ...) -> None: ...

class ExtractResponse(_message.Message):
    __slots__ = ("features", "errors", "fingerprint", "backbone")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    features: _tensor_pb2.Tensor
    errors: _containers.RepeatedCompositeFieldContainer[_image_pb2.ItemError]
    fingerprint: str
    backbone: str
    def __init__(self, features: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., errors: _Optional[_Iterable[_Union[_image_pb2.ItemError, _Mapping]]] = ..., fingerprint: _Optional[str] = ..., backbone: _Optional[str] = ...) -> None: ...

class ExtractStreamRequest(_message.Message):
    __slots__ = ("options", "images")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    options: FeatureOptions
    images: _containers.RepeatedCompositeFieldContainer[_image_pb2.Image]
    def __init__(self, options: _Optional[_Union[FeatureOptions, _Mapping]] = ..., images: _Optional[_Iterable[_Union[_image_pb2.Image, _Mapping]]] = ...) -> None: ...

class ExtractStreamResponse(_message.Message):
    __slots__ = ("first_index", "features", "errors", "ids", "fingerprint", "backbone")
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    first_index: int
    features: _tensor_pb2.Tensor
    errors: _containers.RepeatedCompositeFieldContainer[_image_pb2.ItemError]
    ids: _containers.RepeatedScalarFieldContainer[str]
    fingerprint: str
    backbone: str
    def __init__(self, first_index: _Optional[int] = ..., features: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., errors: _Optional[_Iterable[_Union[_image_pb2.ItemError, _Mapping]]] = ..., ids: _Optional[_Iterable[str]] = ..., fingerprint: _Optional[str] = ..., backbone: _Optional[str] = ...) -> None: ...
