"""An image as a client sends it, and the closed list of reasons why one cannot be used."""

from __future__ import annotations

import dataclasses
import enum

import numpy as np


class ImageFault(str, enum.Enum):
    """Stable reasons for per-item errors. The value is what travels; docs/images.md explains each."""

    EMPTY = "IMAGE_EMPTY"
    """No bytes, or an array without pixels."""
    UNRECOGNISED = "IMAGE_UNRECOGNISED"
    """The bytes are no image format that the server decodes."""
    CORRUPT = "IMAGE_CORRUPT"
    """A known format, but the data is damaged or ends too early."""
    TOO_LARGE = "IMAGE_TOO_LARGE"
    """More bytes, pixels or frames than the server's limits."""
    UNSUPPORTED = "IMAGE_UNSUPPORTED"
    """A valid file that uses a feature which cannot be decoded here."""
    BAD_PIXELS = "IMAGE_BAD_PIXELS"
    """Raw pixels with a shape, dtype or values that are no picture."""


class ImageError(Exception):
    """This one image cannot be used; others are unaffected."""

    def __init__(self, fault: ImageFault, message: str) -> None:
        """`message` is for people and holds no path of the server."""
        super().__init__(message)
        self.fault = fault
        self.message = message


@dataclasses.dataclass(frozen=True, slots=True)
class EncodedImage:
    """A whole image file."""

    data: bytes
    id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class PixelImage:
    """Raw pixels: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA.

    uint8 in 0..255, or float16/float32 in 0..1.
    """

    pixels: np.ndarray
    id: str = ""


SourceImage = EncodedImage | PixelImage


def size_of(image: SourceImage) -> int:
    """Bytes that it holds, before anything is decoded."""
    return len(image.data) if isinstance(image, EncodedImage) else image.pixels.nbytes


@dataclasses.dataclass(frozen=True, slots=True)
class ItemError:
    """Why the image at position `index` has no result."""

    index: int
    id: str
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds that hold before memory is spent on an image."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_frames: int = 10_000
