from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from penult_server.engine.images.convert import to_rgb
from tests.unit.engine.images.files import colour_of, encode, pixels_of

COLOUR = (200, 100, 50)
GREY = 124  # of COLOUR, by the ITU-R 601 weights


def _near(actual: tuple[int, ...], expected: tuple[int, ...], within: int = 3) -> bool:
    return max(abs(a - e) for a, e in zip(actual, expected, strict=True)) <= within


def _in_mode(mode: str) -> Image.Image:
    rgb = Image.new("RGB", (8, 8), COLOUR)
    if mode in ("La", "RGBa"):
        return rgb.convert(mode.upper()).convert(mode)
    return rgb.convert("RGBA").convert(mode) if mode == "PA" else rgb.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBa", "RGBX", "PA", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_colour_modes_keep_their_colour(mode: str) -> None:
    converted = to_rgb(_in_mode(mode))
    assert converted.mode == "RGB"
    pixel = converted.getpixel((4, 4))
    assert isinstance(pixel, tuple)
    assert _near(pixel, COLOUR, within=5)  # the web palette of mode P is coarse


@pytest.mark.parametrize("mode", ["L", "LA", "La", "I", "F"])
def test_grey_modes_keep_their_grey(mode: str) -> None:
    assert to_rgb(_in_mode(mode)).getpixel((4, 4)) == (GREY, GREY, GREY)


@pytest.mark.parametrize(("bit", "level"), [(0, 0), (1, 255)])
def test_one_bit(bit: int, level: int) -> None:
    assert to_rgb(Image.new("1", (8, 8), bit)).getpixel((4, 4)) == (level, level, level)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
@pytest.mark.parametrize(("value", "level"), [(0, 0), (257, 1), (32_768, 128), (65_535, 255)])
def test_sixteen_bits_are_scaled(mode: str, value: int, level: int) -> None:
    assert to_rgb(Image.new(mode, (8, 8), value)).getpixel((4, 4)) == (level, level, level)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_sixteen_bit_files_keep_their_shades(file_format: str) -> None:
    ramp = np.linspace(0, 65_535, 64, dtype=np.uint16)
    picture = Image.fromarray(np.tile(ramp, (64, 1)))
    row = pixels_of(encode(picture, file_format))[0, 32, :, 0].astype(int)
    assert np.abs(row - np.linspace(0, 255, 64)).max() <= 1


@pytest.mark.parametrize("maximum", [1.0, 255.0, 65_535.0])
def test_float_tiff_in_a_usual_range(maximum: float) -> None:
    half = np.full((64, 64), maximum / 2, np.float32)
    half[0, 0] = maximum
    assert _near(colour_of(encode(Image.fromarray(half), "TIFF")), (128, 128, 128), within=1)


def test_float_tiff_in_a_range_of_its_own() -> None:
    """Heights in metres, say: lowest black, highest white; what is not a number is black, infinity white."""
    values = np.tile(np.linspace(-400, 1600, 64, dtype=np.float32), (64, 1))
    values[0, :3] = np.nan, np.inf, -np.inf
    pixels = pixels_of(encode(Image.fromarray(values), "TIFF"))[0, :, :, 0].astype(int)
    assert np.abs(pixels[32] - np.linspace(0, 255, 64)).max() <= 1
    assert pixels[0, :3].tolist() == [0, 255, 0]


def test_a_flat_float_picture_is_no_division_by_zero() -> None:
    flat = np.full((64, 64), 1e6, np.float32)
    assert colour_of(encode(Image.fromarray(flat), "TIFF")) == (0, 0, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_that_counts_down_to_white(dtype: type) -> None:
    """Scans and X-rays often store 0 for white."""
    tags = [  # id, type (3: SHORT, 4: LONG), value
        (256, 3, 8),
        (257, 3, 8),
        (258, 3, 8 * dtype().itemsize),
        (262, 3, 0),  # white is zero
        (273, 4, 8),
        (278, 3, 8),
        (279, 4, 64 * dtype().itemsize),
    ]
    strip = np.zeros((8, 8), dtype).tobytes()
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in tags)
    data = b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory + bytes(4)
    assert colour_of(data) == (255, 255, 255)


def test_adobe_cmyk_jpeg_is_not_a_negative() -> None:
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    assert _near(colour_of(encode(cyan, "JPEG")), (0, 255, 255))


def test_lab_tiff() -> None:
    assert _near(colour_of(encode(_in_mode("LAB"), "TIFF")), COLOUR)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_shown_over_white(mode: str) -> None:
    black = Image.new(mode, (8, 8), 0)
    assert to_rgb(black).getpixel((4, 4)) == (255, 255, 255)
    black.putalpha(128)
    assert _near(colour_of(encode(black, "PNG")), (127, 127, 127), within=1)


def test_hidden_colour_does_not_show_through() -> None:
    assert colour_of(encode(Image.new("RGBA", (8, 8), (*COLOUR, 0)), "WEBP", lossless=True)) == (
        255,
        255,
        255,
    )


def test_opaque_alpha_changes_nothing() -> None:
    picture = Image.merge("RGB", [Image.linear_gradient("L")] * 3)
    assert to_rgb(picture.convert("RGBA")).tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("file_format", "transparency"),
    [("PNG", 2), ("GIF", 2), ("PNG", bytes([255, 255, 0, 255]))],
    ids=["PNG", "GIF", "PNG-table"],
)
def test_transparent_palette_entry(file_format: str, transparency: int | bytes) -> None:
    picture = Image.new("P", (64, 64), 1)
    picture.putpalette([0, 0, 0, *COLOUR, 9, 9, 9, 90, 90, 90])
    picture.paste(2, (0, 0, 64, 16))
    picture.paste(3, (0, 48, 64, 64))
    pixels = pixels_of(encode(picture, file_format, transparency=transparency))[0]
    assert pixels[4, 32].tolist() == [255, 255, 255]
    assert tuple(pixels[32, 32].tolist()) == COLOUR
    assert pixels[60, 32].tolist() == [90, 90, 90]


@pytest.mark.parametrize(
    ("picture", "transparent"),
    [
        (Image.new("RGB", (8, 8), COLOUR), COLOUR),
        (Image.new("L", (8, 8), 7), 7),
        (Image.new("1", (8, 8), 0), 0),
        (Image.new("I;16", (8, 8), 700), 700),
    ],
    ids=["RGB", "L", "1", "I;16"],
)
def test_png_with_one_transparent_colour(picture: Image.Image, transparent: int | tuple[int, ...]) -> None:
    data = encode(picture, "PNG", transparency=transparent)
    assert "transparency" in Image.open(io.BytesIO(data)).info
    assert colour_of(data) == (255, 255, 255)
