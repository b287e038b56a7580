"""The pixels a backbone sees are those of timm's own evaluation transform."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from penult_server.core.images import EncodedImage, ImageLimits
from penult_server.core.preprocess import PLAIN, CropMode, Preprocess, resize_from_crop_pct
from penult_server.engine.images import ImagePreprocessor

timm_data = pytest.importorskip("timm.data", reason="timm comes with the server extra")

MEAN = (0.485, 0.456, 0.406)
ONES = (1.0, 1.0, 1.0)
PREPROCESSOR = ImagePreprocessor(ImageLimits())

# (input size, crop_pct, crop mode, interpolation)
CONFIGS: list[tuple[tuple[int, int], float, CropMode, str]] = [
    ((224, 224), 0.875, "center", "bicubic"),
    ((224, 224), 0.875, "center", "bilinear"),
    ((224, 224), 0.9, "center", "lanczos"),
    ((299, 299), 0.95, "center", "bicubic"),
    ((384, 384), 1.0, "center", "bicubic"),
    ((224, 224), 1.0, "squash", "bicubic"),
    ((224, 224), 0.9, "squash", "bilinear"),
    ((224, 224), 1.0, "border", "bicubic"),
    ((224, 224), 0.875, "border", "bilinear"),
    ((160, 224), 0.875, "center", "bicubic"),
    ((224, 160), 0.95, "squash", "bicubic"),
    ((192, 256), 1.0, "border", "bicubic"),
    ((224, 224), 1.1, "center", "bicubic"),  # resizes to less than the crop, so pads
]


def _preprocess(size: tuple[int, int], crop_pct: float, mode: CropMode, interpolation: str) -> Preprocess:
    return Preprocess(size, resize_from_crop_pct(size, crop_pct), mode, interpolation, MEAN, ONES)


def _timm(picture: Image.Image, config: tuple[tuple[int, int], float, CropMode, str]) -> np.ndarray:
    size, crop_pct, mode, interpolation = config
    transform: Any = timm_data.create_transform(
        input_size=(3, *size),
        crop_pct=crop_pct,
        crop_mode=mode,
        interpolation=interpolation,
        mean=MEAN,
        std=ONES,
        normalize=False,
    )
    return np.asarray(transform(picture).permute(1, 2, 0))


def _ours(data: bytes, config: tuple[tuple[int, int], float, CropMode, str]) -> np.ndarray:
    return PREPROCESSOR(EncodedImage(data), _preprocess(*config), PLAIN)[0]


def _photo(data: bytes, size: tuple[int, int]) -> bytes:
    """A real photograph at `size` (width, height), without loss."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize(size).save(file, "PNG")
    return file.getvalue()


def _assert_same_pixels(ours: np.ndarray, theirs: np.ndarray, may_differ: float = 0.01) -> None:
    """Equal, but for a share of the values that round the other way in one pass or in both.

    With a tenth of all values one level off, features fall below a cosine of 0.9999.
    """
    assert ours.shape == theirs.shape
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() <= 2
    assert (difference > 1).mean() <= 0.001
    assert (difference > 0).mean() <= may_differ


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize(
    "size", [(640, 427), (427, 640), (500, 500), (223, 341), (120, 90), (901, 250)], ids=str
)
def test_matches_timm(
    sample_jpegs: list[bytes], config: tuple[tuple[int, int], float, CropMode, str], size: tuple[int, int]
) -> None:
    data = _photo(sample_jpegs[0], size)
    _assert_same_pixels(_ours(data, config), _timm(Image.open(io.BytesIO(data)), config))


# Not "border": there timm rounds the short side of a sliver down to nothing and fails.
@pytest.mark.parametrize("config", [c for c in CONFIGS if c[2] != "border"][::3], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 500), (500, 3), (2, 2)], ids=str)
def test_matches_timm_on_slivers(
    sample_jpegs: list[bytes], config: tuple[tuple[int, int], float, CropMode, str], size: tuple[int, int]
) -> None:
    data = _photo(sample_jpegs[0], size)
    # Very long slivers are not resized whole, so the two passes may come in another order.
    may_differ = 0.2 if max(size) / min(size) > 25 else 0.01
    _assert_same_pixels(_ours(data, config), _timm(Image.open(io.BytesIO(data)), config), may_differ)


def test_nearest_matches_timm(sample_jpegs: list[bytes]) -> None:
    config: tuple[tuple[int, int], float, CropMode, str] = ((224, 224), 0.875, "center", "nearest")
    data = _photo(sample_jpegs[0], (640, 427))
    same = (_ours(data, config) == _timm(Image.open(io.BytesIO(data)), config)).all(axis=-1)
    assert same.mean() > 0.99  # a sample that falls between two pixels may go either way


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[6], CONFIGS[7], CONFIGS[9]], ids=str)
def test_turned_photos_match_timm_on_the_upright_picture(
    sample_jpegs: list[bytes], config: tuple[tuple[int, int], float, CropMode, str], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.open(io.BytesIO(sample_jpegs[0])).save(file, "JPEG", quality=95, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(file))
    _assert_same_pixels(_ours(file.getvalue(), config), _timm(upright, config))


def test_a_long_sliver_needs_little_memory() -> None:
    """timm would resize this picture to 256 x 2,560,000 before it crops."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((1, 10_000)).save(file, "PNG")
    config: tuple[tuple[int, int], float, CropMode, str] = ((224, 224), 0.875, "center", "bicubic")
    pixels = _ours(file.getvalue(), config)
    assert np.abs(pixels.astype(int) - 127).max() <= 2  # the middle of a gradient from 0 to 255
