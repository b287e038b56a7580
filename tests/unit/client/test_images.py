from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penult import _images
from penult._images import BadImage, image_message, image_name
from penult._tensors import tensor_array


def test_files_and_bytes_travel_untouched(tmp_path: Path) -> None:
    file = tmp_path / "x.jpg"
    file.write_bytes(b"\xff\xd8 anything")
    for image in (file, str(file), b"\xff\xd8 anything", memoryview(b"\xff\xd8 anything")):
        assert image_message(image).encoded == b"\xff\xd8 anything"
    assert image_name(file) == str(file)
    assert image_name(b"x") == ""


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pil_pixels_travel_raw(mode: str) -> None:
    array = np.arange(4 * 6 * len(mode), dtype=np.uint8).reshape((4, 6, -1) if len(mode) > 1 else (4, 6))
    message = image_message(Image.fromarray(array, mode=None))
    assert np.array_equal(tensor_array(message.pixels), array)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "I;16", "I", "CMYK", "LAB", "F"])
def test_other_pil_modes_travel_without_loss(mode: str, sample_jpegs: list[bytes]) -> None:
    photo = Image.open(io.BytesIO(sample_jpegs[0])).resize((32, 24))
    image = Image.new("LAB", photo.size, (90, 20, 30)) if mode == "LAB" else _as(photo, mode)
    received = Image.open(io.BytesIO(image_message(image).encoded))
    assert received.size == image.size
    assert np.array_equal(np.asarray(received.convert(image.mode)), np.asarray(image))


def _as(photo: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    return photo.convert(mode)


@pytest.mark.parametrize(
    ("mode", "sent"), [("YCbCr", "RGB"), ("HSV", "RGB"), ("PA", "RGBA"), ("RGBa", "RGBA")]
)
def test_modes_that_no_file_has_are_converted(mode: str, sent: str, sample_jpegs: list[bytes]) -> None:
    photo = Image.open(io.BytesIO(sample_jpegs[0])).resize((32, 24))
    image = photo.convert("P").convert("PA") if mode == "PA" else photo.convert("RGBA").convert(mode)
    assert np.array_equal(tensor_array(image_message(image).pixels), np.asarray(image.convert(sent)))


def test_transparent_colour_of_a_pil_image_is_kept() -> None:
    image = Image.new("RGB", (3, 2), (255, 0, 0))
    image.info["transparency"] = (255, 0, 0)
    received = Image.open(io.BytesIO(image_message(image).encoded))
    assert received.convert("RGBA").getpixel((0, 0)) == (255, 0, 0, 0)


def test_pil_image_is_turned_upright_as_its_file_would_be(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated a quarter
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as image:
        assert tuple(image_message(image).pixels.shape) == (40, 20, 3)
        assert image_name(image) == str(tmp_path / "turned.jpg")


def test_damaged_pil_image_is_an_error_of_this_image(sample_jpegs: list[bytes]) -> None:
    with pytest.raises(BadImage) as caught:
        image_message(Image.open(io.BytesIO(sample_jpegs[0][:2000])))
    assert caught.value.reason == "IMAGE_CORRUPT"


@pytest.mark.parametrize(
    ("given", "sent"),
    [(np.float64, np.float32), (np.float32, np.float32), (np.float16, np.float16), (np.uint8, np.uint8)],
)
def test_arrays_travel_in_a_type_the_server_takes(given: type, sent: type) -> None:
    array = (np.arange(12).reshape(2, 2, 3) % 2).astype(given)
    received = tensor_array(image_message(array).pixels)
    assert received.dtype == sent
    assert np.array_equal(received, array)


def test_mask_becomes_black_and_white_and_strides_do_not_matter() -> None:
    mask = np.array([[True, False], [False, True]])
    assert tensor_array(image_message(mask).pixels).tolist() == [[255, 0], [0, 255]]
    bgr = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)[..., ::-1]
    assert np.array_equal(tensor_array(image_message(bgr).pixels), bgr)


def test_integers_of_other_sizes_are_refused_and_not_guessed() -> None:
    with pytest.raises(BadImage) as caught:
        image_message(np.zeros((2, 2), np.int64))
    assert caught.value.reason == "IMAGE_BAD_PIXELS"


@pytest.mark.parametrize("path", ["missing.jpg", "nul\0.jpg", os.devnull])
def test_what_cannot_be_read_is_an_error_of_this_image(path: str) -> None:
    with pytest.raises(BadImage) as caught:
        image_message(path)
    assert caught.value.reason == "FILE_UNREADABLE"


def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(BadImage):
        image_message(tmp_path / "pipe.jpg")


def test_file_larger_than_a_message_is_not_even_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge.tif", "wb") as file:
        file.truncate(_images.MAX_IMAGE_BYTES + 1)  # sparse
    with pytest.raises(BadImage) as caught:
        image_message(tmp_path / "huge.tif")
    assert caught.value.reason == "IMAGE_TOO_LARGE"
