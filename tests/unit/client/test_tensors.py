from __future__ import annotations

import numpy as np
import pytest

import penult
from penult._tensors import tensor_array, tensor_message
from penult.v1 import tensor_pb2


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("swapped", [False, True])
def test_round_trip_in_either_byte_order(dtype: type, swapped: bool) -> None:
    kind = np.dtype(dtype).newbyteorder("S") if swapped else np.dtype(dtype)
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    back = tensor_array(tensor_message(array))
    assert back.dtype == dtype
    assert back.flags.writeable
    assert np.array_equal(back, array)


def test_wire_is_little_endian() -> None:
    assert tensor_message(np.array([1.0], ">f4")).data == b"\x00\x00\x80\x3f"


@pytest.mark.parametrize(
    "message",
    [
        tensor_pb2.Tensor(dtype="DATA_TYPE_UNSPECIFIED", shape=[1], data=b"\0"),
        tensor_pb2.Tensor(dtype="DATA_TYPE_FLOAT32", shape=[2], data=b"\0" * 4),
        tensor_pb2.Tensor(dtype="DATA_TYPE_FLOAT32", shape=[1], data=b"\0" * 3),
    ],
)
def test_contradiction_is_a_fault_of_the_server(message: tensor_pb2.Tensor) -> None:
    with pytest.raises(penult.Internal):
        tensor_array(message)
