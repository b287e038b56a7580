"""Between the wire's images, tensors and item errors and core's."""

from __future__ import annotations

import math
import sys

import numpy as np

from penult.v1 import image_pb2, tensor_pb2
from penult_server.core.images import EncodedImage, ItemError, PixelImage, SourceImage

assert sys.byteorder == "little", "tensors travel little-endian, and this server sends memory as it is"

_DTYPES: dict[tensor_pb2.DataType, np.dtype[np.generic]] = {
    tensor_pb2.DATA_TYPE_UINT8: np.dtype(np.uint8),
    tensor_pb2.DATA_TYPE_FLOAT16: np.dtype(np.float16),
    tensor_pb2.DATA_TYPE_FLOAT32: np.dtype(np.float32),
}
_DATA_TYPES = {dtype: number for number, dtype in _DTYPES.items()}
_EMPTY = np.empty((0,), np.uint8)


def image_from_wire(image: image_pb2.Image) -> SourceImage:
    """An image as core knows it. A tensor that makes no sense becomes an empty one: an error of that item."""
    if image.WhichOneof("content") == "pixels":
        pixels = array_from_wire(image.pixels)
        return PixelImage(_EMPTY if pixels is None else pixels, image.id)
    return EncodedImage(image.encoded, image.id)


def array_from_wire(tensor: tensor_pb2.Tensor) -> np.ndarray | None:
    """The array, read-only; None for a tensor that makes no sense."""
    dtype, data = _DTYPES.get(tensor.dtype), tensor.data  # each look at `data` copies it
    if dtype is None or math.prod(tensor.shape) * dtype.itemsize != len(data):
        return None
    return np.frombuffer(data, dtype).reshape(tuple(tensor.shape))


def tensor_to_wire(array: np.ndarray) -> tensor_pb2.Tensor:
    """A C-contiguous float16, float32 or uint8 array as packed bytes."""
    return tensor_pb2.Tensor(dtype=_DATA_TYPES[array.dtype], shape=array.shape, data=array.tobytes())


def item_error_to_wire(error: ItemError) -> image_pb2.ItemError:
    """One image's error."""
    return image_pb2.ItemError(index=error.index, id=error.id, reason=error.reason, message=error.message)
