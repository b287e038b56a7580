"""Numpy arrays to tensors on the wire and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from penult.errors import Internal
from penult.v1 import tensor_pb2

_TO_WIRE: dict[str, tensor_pb2.DataType] = {
    "uint8": tensor_pb2.DATA_TYPE_UINT8,
    "float16": tensor_pb2.DATA_TYPE_FLOAT16,
    "float32": tensor_pb2.DATA_TYPE_FLOAT32,
}
_FROM_WIRE = {number: np.dtype(name).newbyteorder("<") for name, number in _TO_WIRE.items()}


def tensor_message(array: np.ndarray[Any, Any]) -> tensor_pb2.Tensor:
    """Packs a uint8, float16 or float32 array of any shape."""
    message = tensor_pb2.Tensor()
    pack(message, array)
    return message


def pack(message: tensor_pb2.Tensor, array: np.ndarray[Any, Any]) -> None:
    """The same into a message that is there and empty: it is not copied once more."""
    message.dtype = _TO_WIRE[array.dtype.name]
    message.shape.extend(array.shape)
    message.data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def tensor_array(message: tensor_pb2.Tensor) -> np.ndarray[Any, Any]:
    """Unpacks a tensor into a writable array of its own, in native byte order.

    Raises:
        Internal: the message contradicts itself.
    """
    try:
        wire = _FROM_WIRE[message.dtype]
        array = np.frombuffer(bytearray(message.data), wire).reshape(tuple(message.shape))
    except (KeyError, ValueError) as error:
        raise Internal(f"the server sent an unreadable tensor: {error}", reason="BAD_TENSOR") from error
    return array.astype(wire.newbyteorder("="), copy=False)


def dtype_number(name: str) -> tensor_pb2.DataType:
    """The wire's number for "uint8", "float16" or "float32"; raises KeyError for others."""
    return _TO_WIRE[name]
