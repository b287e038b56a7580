"""Cuts the planned views out of a picture, resizing no more than a view shows where that is exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from penult_server.core.preprocess import Preprocess, View, border_colour

# Pillow resizes in two passes with 8-bit pixels between them, and picks the order of the passes by its own
# estimate of their cost. Another order moves many pixels by one level and a feature's cosine to 0.9996.
# A part of a picture gets the order that the whole gets, rows first, where the picture is as wide as tall or
# wider. It is also rounded like the whole where the picture shrinks; elsewhere little time would be saved.
_LEAST_SHRINK = 1.25
# Beyond this many times the view, a sliver would cost more memory to resize whole than exactness is worth.
_MOST_RESIZED = 32


def render(picture: Image.Image, views: Sequence[View], preprocess: Preprocess) -> np.ndarray:
    """Renders each view.

    Args:
        picture: upright, of mode "RGB".
        views: from `plan_views` for this picture.
        preprocess: gives the size of a view, the filter and the colour around a picture.

    Returns:
        uint8 (views, height, width, 3), C-contiguous.
    """
    colour = np.array(border_colour(preprocess))
    pixels = np.empty((len(views), *preprocess.input_size, 3), np.uint8)
    resample = Image.Resampling[preprocess.interpolation.upper()]
    resizer = _Resizer(picture, resample)
    for index, view in enumerate(views):
        if view.flip:
            pixels[index] = pixels[index - 1, :, ::-1]  # plan_views puts a mirrored view after its original
        else:
            _render_one(resizer, view, colour, pixels[index])
    return pixels


def _render_one(resizer: _Resizer, view: View, colour: np.ndarray, out: np.ndarray) -> None:
    """Fills `out` (height, width, 3) with one unmirrored view."""
    height, width = view.resized
    crop_height, crop_width = out.shape[:2]
    top, bottom = max(view.top, 0), min(view.top + crop_height, height)
    left, right = max(view.left, 0), min(view.left + crop_width, width)
    if (bottom - top, right - left) != (crop_height, crop_width):
        out[:] = colour
        out = out[top - view.top : bottom - view.top, left - view.left : right - view.left]
    out[:] = np.asarray(resizer.window((width, height), (left, top, right, bottom)))


class _Resizer:
    """Resizes one picture for all of its views."""

    def __init__(self, picture: Image.Image, resample: Image.Resampling) -> None:
        self._picture = picture
        self._resample = resample
        self._wholes: dict[tuple[int, int], Image.Image] = {}

    def window(self, size: tuple[int, int], window: tuple[int, int, int, int]) -> Image.Image:
        """The part `window` (left, top, right, bottom) of the picture resized to `size` (width, height)."""
        left, top, right, bottom = window
        view_size = (right - left, bottom - top)
        width, height = self._picture.size
        scale_x, scale_y = width / size[0], height / size[1]
        keeps_shape = abs(scale_x / scale_y - 1) < 0.02
        box_is_exact = height <= width and scale_x >= _LEAST_SHRINK and keeps_shape
        if not box_is_exact and size[0] * size[1] <= _MOST_RESIZED * view_size[0] * view_size[1]:
            if size not in self._wholes:
                self._wholes[size] = self._picture.resize(size, self._resample)
            return self._wholes[size].crop(window)
        # Rounding may carry a product just past the edge, which Pillow refuses.
        box = (left * scale_x, top * scale_y, min(right * scale_x, width), min(bottom * scale_y, height))
        return self._picture.resize(view_size, self._resample, box)
