from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from penult_server.core.preprocess import CropMode, Preprocess, TestTimeAugmentation
from tests.unit.engine.images.files import encode, pixels_of

CENTRE = Preprocess((64, 64), (80, 80), "center", "bicubic", (0.2, 0.4, 0.6), (0.5, 0.5, 0.5))


def test_five_crops_are_windows_of_the_resized_picture(sample_jpegs: list[bytes]) -> None:
    views = pixels_of(sample_jpegs[0], preprocess=CENTRE, tta=TestTimeAugmentation(five_crops=True)).astype(
        int
    )
    whole = dataclasses.replace(CENTRE, input_size=(80, 119), resize=(80, 119), crop_mode="squash")
    resized = pixels_of(sample_jpegs[0], preprocess=whole)[0].astype(int)  # 640 x 427 becomes 119 x 80
    assert views.shape == (5, 64, 64, 3)
    corners = [(8, 28), (0, 0), (0, 55), (16, 0), (16, 55)]
    for view, (top, left) in zip(views, corners, strict=True):
        assert np.abs(view - resized[top : top + 64, left : left + 64]).max() <= 1


def test_flipped_views_mirror_their_originals(sample_jpegs: list[bytes]) -> None:
    tta = TestTimeAugmentation(flip=True, five_crops=True, scales=(1.0, 1.3))
    views = pixels_of(sample_jpegs[0], preprocess=CENTRE, tta=tta)
    assert views.flags.c_contiguous
    np.testing.assert_array_equal(views[1::2], views[0::2, :, ::-1])
    assert not np.array_equal(views[0], views[1])


def test_the_plain_view_is_the_first_of_many(sample_jpegs: list[bytes]) -> None:
    plain = pixels_of(sample_jpegs[0], preprocess=CENTRE)
    many = pixels_of(
        sample_jpegs[0], preprocess=CENTRE, tta=TestTimeAugmentation(flip=True, scales=(1.0, 1.2))
    )
    np.testing.assert_array_equal(many[0], plain[0])


def test_outside_the_picture_is_black_or_the_mean() -> None:
    one = 255
    white = np.full((20, 40, 3), one, np.uint8)
    border = dataclasses.replace(CENTRE, crop_mode="border", resize=(64, 64))
    pixels = pixels_of(white, preprocess=border)[0]  # 64 x 32 in the middle of 64 x 64
    assert (pixels[16:48] == one).all()
    mean = np.array([51, 102, 153])
    for outside in (pixels[:16], pixels[48:]):
        np.testing.assert_allclose(outside, np.broadcast_to(mean, outside.shape), rtol=1e-6)
    small = dataclasses.replace(CENTRE, resize=(32, 32))
    pixels = pixels_of(white, preprocess=small)[0]  # 64 x 32 again, cut to the crop
    assert (pixels[16:48] == one).all()
    assert not pixels[:16].any()
    assert not pixels[48:].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (1, 60_000), (2, 2), (5000, 7)], ids=str)
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_extreme_shapes(size: tuple[int, int], mode: CropMode, interpolation: str) -> None:
    preprocess = dataclasses.replace(CENTRE, crop_mode=mode, interpolation=interpolation)
    tta = TestTimeAugmentation(flip=True, five_crops=True, scales=(0.7, 1.9))
    pixels = pixels_of(encode(Image.new("RGB", size, (9, 8, 7)), "PNG"), preprocess=preprocess, tta=tta)
    assert pixels.shape == (20, 64, 64, 3)
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist()}
    assert (9, 8, 7) in colours
    assert colours <= {(9, 8, 7), (51, 102, 153)}
