from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackboneState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKBONE_STATE_UNSPECIFIED: _ClassVar[BackboneState]
    BACKBONE_STATE_AVAILABLE: _ClassVar[BackboneState]
    BACKBONE_STATE_LOADING: _ClassVar[BackboneState]
    BACKBONE_STATE_READY: _ClassVar[BackboneState]
    BACKBONE_STATE_FAILED: _ClassVar[BackboneState]

class BackboneSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKBONE_SOURCE_UNSPECIFIED: _ClassVar[BackboneSource]
    BACKBONE_SOURCE_BUNDLED: _ClassVar[BackboneSource]
    BACKBONE_SOURCE_DIRECTORY: _ClassVar[BackboneSource]
    BACKBONE_SOURCE_IMPORTED: _ClassVar[BackboneSource]
    BACKBONE_SOURCE_TIMM: _ClassVar[BackboneSource]
    BACKBONE_SOURCE_TORCHVISION: _ClassVar[BackboneSource]
    BACKBONE_SOURCE_FINE_TUNED: _ClassVar[BackboneSource]
BACKBONE_STATE_UNSPECIFIED: BackboneState
BACKBONE_STATE_AVAILABLE: BackboneState
BACKBONE_STATE_LOADING: BackboneState
BACKBONE_STATE_READY: BackboneState
BACKBONE_STATE_FAILED: BackboneState
BACKBONE_SOURCE_UNSPECIFIED: BackboneSource
BACKBONE_SOURCE_BUNDLED: BackboneSource
BACKBONE_SOURCE_DIRECTORY: BackboneSource
BACKBONE_SOURCE_IMPORTED: BackboneSource
BACKBONE_SOURCE_TIMM: BackboneSource
BACKBONE_SOURCE_TORCHVISION: BackboneSource
BACKBONE_SOURCE_FINE_TUNED: BackboneSource

class Preprocess(_message.Message):
    __slots__ = ("input_height", "input_width", "resize", "crop_mode", "interpolation", "mean", "std")
    INPUT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INPUT_WIDTH_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    CROP_MODE_FIELD_NUMBER: _ClassVar[int]
    INTERPOLATION_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    input_height: int
    input_width: int
    resize: _containers.RepeatedScalarFieldContainer[int]
    crop_mode: str
    interpolation: str
    mean: _containers.RepeatedScalarFieldContainer[float]
    std: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, input_height: _Optional[int] = ..., input_width: _Optional[int] = ..., resize: _Optional[_Iterable[int]] = ..., crop_mode: _Optional[str] = ..., interpolation: _Optional[str] = ..., mean: _Optional[_Iterable[float]] = ..., std: _Optional[_Iterable[float]] = ...) -> None: ...

class Backbone(_message.Message):
    __slots__ = ("name", "architecture", "source", "state", "dim", "preprocess", "fingerprint", "licence", "parameter_count", "device", "provider", "provider_cosine", "provider_note", "memory_bytes", "layers", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_COSINE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NOTE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    architecture: str
    source: BackboneSource
    state: BackboneState
    dim: int
    preprocess: Preprocess
    fingerprint: str
    licence: str
    parameter_count: int
    device: str
    provider: str
    provider_cosine: float
    provider_note: str
    memory_bytes: int
    layers: _containers.RepeatedScalarFieldContainer[str]
    error: str
    def __init__(self, name: _Optional[str] = ..., architecture: _Optional[str] = ..., source: _Optional[_Union[BackboneSource, str]] = ..., state: _Optional[_Union[BackboneState, str]] = ..., dim: _Optional[int] = ..., preprocess: _Optional[_Union[Preprocess, _Mapping]] = ..., fingerprint: _Optional[str] = ..., licence: _Optional[str] = ..., parameter_count: _Optional[int] = ..., device: _Optional[str] = ..., provider: _Optional[str] = ..., provider_cosine: _Optional[float] = ..., provider_note: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., layers: _Optional[_Iterable[str]] = ..., error: _Optional[str] = ...) -> None: ...

class ListBackbonesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "query", "sources", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    query: str
    sources: _containers.RepeatedScalarFieldContainer[BackboneSource]
    state: BackboneState
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., query: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[BackboneSource, str]]] = ..., state: _Optional[_Union[BackboneState, str]] = ...) -> None: ...

class ListBackbonesResponse(_message.Message):
    __slots__ = ("backbones", "next_page_token")
    BACKBONES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    backbones: _containers.RepeatedCompositeFieldContainer[Backbone]
    next_page_token: str
    def __init__(self, backbones: _Optional[_Iterable[_Union[Backbone, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetBackboneRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetBackboneResponse(_message.Message):
    __slots__ = ("backbone",)
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    backbone: Backbone
    def __init__(self, backbone: _Optional[_Union[Backbone, _Mapping]] = ...) -> None: ...

class LoadBackboneRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class LoadBackboneResponse(_message.Message):
    __slots__ = ("backbone",)
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    backbone: Backbone
    def __init__(self, backbone: _Optional[_Union[Backbone, _Mapping]] = ...) -> None: ...

class UnloadBackboneRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UnloadBackboneResponse(_message.Message):
    __slots__ = ("backbone",)
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    backbone: Backbone
    def __init__(self, backbone: _Optional[_Union[Backbone, _Mapping]] = ...) -> None: ...

class ImportBackboneHeader(_message.Message):
    __slots__ = ("name", "architecture", "size_bytes", "sha256", "licence", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    architecture: str
    size_bytes: int
    sha256: str
    licence: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., architecture: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., licence: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ImportBackboneRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImportBackboneHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ImportBackboneHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImportBackboneResponse(_message.Message):
    __slots__ = ("backbone",)
    BACKBONE_FIELD_NUMBER: _ClassVar[int]
    backbone: Backbone
    def __init__(self, backbone: _Optional[_Union[Backbone, _Mapping]] = ...) -> None: ...
