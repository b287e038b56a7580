"""Raw pixels of a client: checked, then brought to the form in which decoded files are resized."""

from __future__ import annotations

import numpy as np
from PIL import Image

from penult_server.core.images import ImageError, ImageFault, ImageLimits
from penult_server.engine.images.convert import to_rgb
from penult_server.engine.images.decode import check_pixels

# float16 cannot hold every n/255 exactly, and a client's own resize overshoots a little.
_TOLERANCE = 1e-3


def from_pixels(pixels: np.ndarray, limits: ImageLimits) -> Image.Image:
    """An array as an RGB picture.

    Floats are rounded to 8 bits, as every image file that a backbone was trained on was: so an array has
    the feature of the file that it came from, and rides in the same batches.

    Args:
        pixels: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA; uint8, or float16/float32 in 0..1.
        limits: bounds the number of pixels.

    Returns:
        A picture of mode "RGB".

    Raises:
        ImageError: EMPTY, TOO_LARGE or BAD_PIXELS.
    """
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise _bad(f"shape {pixels.shape} is not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if pixels.size == 0:
        raise ImageError(ImageFault.EMPTY, "The array has no pixels.")
    check_pixels(pixels.shape[0] * pixels.shape[1], limits)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype.type in (np.float16, np.float32):
        pixels = _to_bytes(pixels.astype(np.float32))
    if pixels.dtype.type is not np.uint8:
        raise _bad(f"dtype {pixels.dtype} is not uint8, float16 or float32")
    return to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    low, high = float(pixels.min()), float(pixels.max())
    # A NaN anywhere makes both NaN, and every comparison with it false.
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise _bad(f"float values must lie in 0..1, not {low:g}..{high:g}; divide by 255 if they are bytes")
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)


def _bad(why: str) -> ImageError:
    return ImageError(ImageFault.BAD_PIXELS, f"The array is no picture: {why}.")
