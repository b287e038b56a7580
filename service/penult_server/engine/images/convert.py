"""Any Pillow mode to RGB, the way a person would see the picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_WITH_TRANSPARENT_COLOUR = ("1", "L", "P", "RGB")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_TIFF_BITS_PER_SAMPLE = 258
_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


def to_rgb(picture: Image.Image) -> Image.Image:
    """Converts a loaded picture to mode "RGB".

    Transparent parts show white. Grey with more than 8 bits is scaled by its range, not clipped.
    Colour profiles are ignored, as timm and torchvision ignore them.

    Raises:
        ValueError: Pillow knows no conversion.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode in _SIXTEEN_BITS or picture.mode in ("I", "F"):
        return _deep_grey(picture)
    if picture.mode in _WITH_ALPHA or (
        picture.mode in _WITH_TRANSPARENT_COLOUR and picture.has_transparency_data
    ):
        return _over_white(picture)
    return picture.convert("RGB")


def _over_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "La":  # premultiplied grey converts to nothing else
        picture = picture.convert("LA")
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    rgb = rgba.convert("RGB")
    if alpha.getextrema() == (255, 255):
        return rgb
    white = Image.new("RGB", rgb.size, (255, 255, 255))
    white.paste(rgb, mask=alpha)
    return white


def _deep_grey(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    low, high = _range(picture, values)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (values.astype(np.float32) - low) * (255 / (high - low))
    grey = np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255)
    if _tiff_tag(picture, _TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO and picture.mode != "F":
        grey = 255 - grey  # Pillow inverts such files with 8 bits only
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(values == transparent, 255, grey)
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")


def _range(picture: Image.Image, values: np.ndarray) -> tuple[float, float]:
    """Values that mean black and white.

    A file with up to 16 bits states its range. 32-bit integers and floats do not: they get the
    smallest usual range (0..1, 0..255, 0..65535) that holds every value, else their own extremes.
    """
    if picture.mode in _SIXTEEN_BITS:
        bits = _tiff_tag(picture, _TIFF_BITS_PER_SAMPLE)
        return 0, 2 ** (bits or 16) - 1
    if picture.format in ("PNG", "PPM"):  # some versions of Pillow keep 16 bits in mode "I"
        return 0, 65535
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= 0:
        for usual in (1, 255, 65535):
            if high <= usual:
                return 0, usual
    return low, high if high > low else low + 1


def _tiff_tag(picture: Image.Image, tag: int) -> int | None:
    value = getattr(picture, "tag_v2", {}).get(tag)
    if isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, int) else None
