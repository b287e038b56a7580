from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from penult_server.core.images import ImageFault, ImageLimits
from tests.unit.engine.images.files import encode, fault_of, pixels_of


@pytest.fixture(scope="module")
def photo(sample_jpegs: list[bytes]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(sample_jpegs[0])))


def test_bytes_are_treated_as_a_file(photo: np.ndarray) -> None:
    from_file = pixels_of(encode(Image.fromarray(photo), "PNG"))
    assert pixels_of(photo).dtype == np.uint8
    np.testing.assert_array_equal(pixels_of(photo), from_file)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_floats_are_the_same_picture_as_the_bytes_they_came_from(photo: np.ndarray, dtype: type) -> None:
    np.testing.assert_array_equal(pixels_of((photo / 255).astype(dtype)), pixels_of(photo))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_grey_and_alpha(dtype: type) -> None:
    one = 255 if dtype is np.uint8 else 1.0
    grey = np.full((9, 7), one / 5, dtype)
    for array in (grey, grey[:, :, None], np.stack([grey] * 3, axis=-1)):
        np.testing.assert_array_equal(pixels_of(array), np.full((1, 64, 64, 3), 51, np.uint8))
    clear = np.zeros((9, 7, 4), dtype)
    np.testing.assert_array_equal(pixels_of(clear), np.full((1, 64, 64, 3), 255, np.uint8))
    opaque = clear.copy()
    opaque[:, :, 3] = one
    np.testing.assert_array_equal(pixels_of(opaque), np.zeros((1, 64, 64, 3), np.uint8))


def test_views_of_other_arrays_are_fine(photo: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels_of(photo[::2, ::-1]), pixels_of(photo[::2, ::-1].copy()))
    swapped = (photo / 255).astype(np.float32)
    np.testing.assert_array_equal(pixels_of(swapped.astype(">f4")), pixels_of(swapped))


def test_the_array_is_not_changed(photo: np.ndarray) -> None:
    array = (photo / 255).astype(np.float32)
    before = array.copy()
    pixels_of(array)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5, np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((), np.uint8),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), np.float64),
        np.zeros((4, 4), bool),
        np.full((4, 4), 128, np.float32),
        np.full((4, 4), -0.5, np.float32),
        np.full((4, 4), np.inf, np.float32),
        np.array([[0.5, np.nan]], np.float32),
        np.array([[0.5, np.nan]], np.float16),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_picture(array: np.ndarray) -> None:
    assert fault_of(array) == ImageFault.BAD_PIXELS


@pytest.mark.parametrize("shape", [(0, 5), (5, 0, 3), (0, 0, 4)])
def test_empty_arrays(shape: tuple[int, ...]) -> None:
    assert fault_of(np.zeros(shape, np.uint8)) == ImageFault.EMPTY


def test_a_slight_overshoot_is_forgiven() -> None:
    assert fault_of(np.full((4, 4), 1.0005, np.float32)) is None
    assert pixels_of(np.full((4, 4), -0.0005, np.float32)).min() == 0


def test_pixels_are_limited() -> None:
    array = np.zeros((10, 10, 3), np.uint8)
    assert fault_of(array, ImageLimits(max_pixels=100)) is None
    assert fault_of(array, ImageLimits(max_pixels=99)) == ImageFault.TOO_LARGE
