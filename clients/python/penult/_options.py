"""What feature to compute: from keyword arguments to the message."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from penult._chunks import Chunk
from penult._stream import Request
from penult._tensors import dtype_number
from penult.errors import InvalidArgument
from penult.tta import TTA, tta_message
from penult.types import FeatureDType, OnError, Pooling
from penult.v1 import feature_pb2

_POOLING: dict[str | None, feature_pb2.Pooling] = {
    None: feature_pb2.POOLING_UNSPECIFIED,
    "default": feature_pb2.POOLING_UNSPECIFIED,
    "avg": feature_pb2.POOLING_AVG,
    "max": feature_pb2.POOLING_MAX,
    "avg_max": feature_pb2.POOLING_AVG_MAX,
    "token": feature_pb2.POOLING_TOKEN,
}


class FeatureChoices(TypedDict, total=False):
    """Keyword arguments that say which feature is computed; `Client.extract` explains them."""

    tta: TTA
    l2: bool
    dtype: FeatureDType
    layer: str | None
    pooling: Pooling | None


def feature_options(
    backbone: str | None = None,
    tta: TTA = None,
    l2: bool = False,
    dtype: FeatureDType = "float32",
    layer: str | None = None,
    pooling: Pooling | None = None,
) -> feature_pb2.FeatureOptions:
    """Checks what can be checked without a server. Raises InvalidArgument."""
    name = _dtype_name(dtype)
    if pooling not in _POOLING:
        known = ", ".join(word for word in _POOLING if word)
        raise InvalidArgument(
            f"unknown pooling {pooling!r}", reason="POOLING_UNKNOWN", hint=f"one of {known}"
        )
    return feature_pb2.FeatureOptions(
        backbone=backbone or "",
        dtype=dtype_number(name),
        l2_normalize=l2,
        layer=layer or "",
        pooling=_POOLING[pooling],
        tta=tta_message(tta),
    )


def stream_request(options: feature_pb2.FeatureOptions) -> Request:
    """What makes the messages of a stream of features."""

    def request(chunk: Chunk, *, first: bool) -> feature_pb2.ExtractStreamRequest:
        return feature_pb2.ExtractStreamRequest(options=options if first else None, images=chunk.images)

    return request


def _dtype_name(dtype: object) -> str:
    if dtype in ("float32", "float16"):  # as nearly every call says it: no need to ask numpy
        return str(dtype)
    try:
        name: str = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = str(dtype)
    if name not in ("float32", "float16"):
        raise InvalidArgument(f"dtype {name!r} is not float32 or float16", reason="DTYPE_UNKNOWN")
    return name


def check_on_error(on_error: OnError) -> None:
    """Raises InvalidArgument for a word that is none of the three."""
    if on_error not in ("raise", "skip", "return"):
        raise InvalidArgument(
            f"unknown on_error {on_error!r}", reason="ON_ERROR_UNKNOWN", hint="one of raise, skip, return"
        )
