"""Pictures as files, for the tests of this folder."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from penult_server.core.images import EncodedImage, ImageError, ImageFault, ImageLimits, PixelImage
from penult_server.core.preprocess import PLAIN, Preprocess, TestTimeAugmentation
from penult_server.engine.images import ImagePreprocessor

WHOLE = Preprocess((64, 64), (64, 64), "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Shows the whole of a picture in 64 x 64 pixels."""


def encode(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def pixels_of(
    image: bytes | np.ndarray,
    limits: ImageLimits | None = None,
    preprocess: Preprocess = WHOLE,
    tta: TestTimeAugmentation = PLAIN,
) -> np.ndarray:
    """All views of a file or an array."""
    source = EncodedImage(image) if isinstance(image, bytes) else PixelImage(image)
    return ImagePreprocessor(limits or ImageLimits())(source, preprocess, tta)


def fault_of(image: bytes | np.ndarray, limits: ImageLimits | None = None) -> ImageFault | None:
    """None for a picture, else why it is none. Any other exception passes."""
    try:
        pixels = pixels_of(image, limits)
    except ImageError as error:
        fault, message = error.fault, error.message
    else:
        assert pixels.shape == (1, 64, 64, 3)
        return None
    assert message
    assert message.isprintable()
    return fault


def colour_of(data: bytes) -> tuple[int, ...]:
    """RGB in the middle of a file's picture."""
    return tuple(int(value) for value in pixels_of(data)[0, 32, 32])
