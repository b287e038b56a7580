"""From an upright RGB image to input tensors: the geometry, without any pixels.

The rules are those of `timm.data.create_transform(is_training=False)` and of torchvision's
`ImageClassification` preset: resize, then crop, then scale to 0..1, then subtract the mean and
divide by the standard deviation. Test-time augmentation multiplies one image into several views
(Razavian et al. 2014, "CNN Features off-the-shelf", arXiv:1403.6382, section 3).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

CropMode = Literal["center", "squash", "border"]


@dataclasses.dataclass(frozen=True, slots=True)
class Preprocess:
    """The exact steps from an upright RGB image to an input tensor.

    `input_size` is (height, width) in pixels. `resize` is (height, width) before the crop; for crop
    mode "center" with equal numbers it is the length of the short side.
    """

    input_size: tuple[int, int]
    resize: tuple[int, int]
    crop_mode: CropMode
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TestTimeAugmentation:
    """Views of one image whose features are averaged: the product of crops, scales and flip."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    flip: bool = False
    five_crops: bool = False
    scales: tuple[float, ...] = (1.0,)

    @property
    def views(self) -> int:
        """Number of views an image becomes."""
        return len(self.scales) * (5 if self.five_crops else 1) * (2 if self.flip else 1)


PLAIN = TestTimeAugmentation()


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """One crop: resize the whole picture to `resized`, cut `input_size` out at (`top`, `left`), maybe mirror.

    Sizes are (height, width). `top` and `left` are negative where the crop is larger than the
    resized picture; what lies outside has `border_colour`.
    """

    resized: tuple[int, int]
    top: int
    left: int
    flip: bool


def plan_views(size: tuple[int, int], preprocess: Preprocess, tta: TestTimeAugmentation) -> list[View]:
    """Lays out every view of a picture of `size` (height, width), in the fixed order scales, crops, flip."""
    crop_height, crop_width = preprocess.input_size
    views: list[View] = []
    for scale in tta.scales:
        height, width = _resized(size, preprocess, scale)
        top, left = _centre_offset(height, crop_height), _centre_offset(width, crop_width)
        corners = [(top, left)]
        if tta.five_crops:
            bottom, right = height - crop_height, width - crop_width
            corners += [(0, 0), (0, right), (bottom, 0), (bottom, right)]
        for y, x in corners:
            views.append(View((height, width), y, x, flip=False))
            if tta.flip:
                views.append(View((height, width), y, x, flip=True))
    return views


def border_colour(preprocess: Preprocess) -> tuple[int, ...]:
    """RGB in 0..255 of what lies outside the picture: as in timm the mean for mode "border", else black."""
    if preprocess.crop_mode == "border":
        return tuple(round(255 * value) for value in preprocess.mean)
    return (0, 0, 0)


def _centre_offset(side: int, crop: int) -> int:
    """Where a centred crop starts, as in torchvision: a crop rounds half to even, a pad before it down."""
    return round((side - crop) / 2) if side >= crop else -((crop - side) // 2)


def _resized(size: tuple[int, int], preprocess: Preprocess, scale: float) -> tuple[int, int]:
    """(height, width) of the whole picture after the resize.

    A scale below 1 makes a border wider, but makes no picture smaller than a crop that fits at scale 1.
    """
    height, width = size
    target_height, target_width = (max(1, round(side * scale)) for side in preprocess.resize)
    if preprocess.crop_mode == "border":
        ratio = max(height / target_height, width / target_width)
        return max(1, round(height / ratio)), max(1, round(width / ratio))
    target_height = max(target_height, min(preprocess.resize[0], preprocess.input_size[0]))
    target_width = max(target_width, min(preprocess.resize[1], preprocess.input_size[1]))
    if preprocess.crop_mode == "squash":
        return target_height, target_width
    if preprocess.resize[0] == preprocess.resize[1]:
        short = max(target_height, target_width)
        # torchvision's Resize(int): the long side is truncated, not rounded.
        if width <= height:
            return int(short * height / width), short
        return short, int(short * width / height)
    ratio = min(height / target_height, width / target_width)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def resize_from_crop_pct(input_size: tuple[int, int], crop_pct: float) -> tuple[int, int]:
    """Size given to the resize, as timm computes it: floor(side / crop_pct)."""
    return math.floor(input_size[0] / crop_pct), math.floor(input_size[1] / crop_pct)
