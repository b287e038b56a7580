"""What an analysis keeps of one picture: whether it can be used, its size, and two hashes."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from penult_server.core.images import ImageError, ImageFault, ImageLimits
from penult_server.engine.images.decode import decode

HASH_BITS = 64
_SIDE = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """One image file as it was found.

    Attributes:
        reason: why it cannot be used; "" if it can, and then the rest is there.
        pixels: sha256 of the upright RGB pixels and their shape, lower-case hex.
        look: perceptual hash of 64 bits; None for pictures that are nearly one colour, whose
            hashes are noise.
    """

    reason: str = ""
    message: str = ""
    width: int = 0
    height: int = 0
    pixels: str = ""
    look: int | None = None


def examine(file: Path, limits: ImageLimits) -> Picture:
    """Reads and decodes one image. Raises nothing for whatever the file is."""
    try:
        picture = decode(file.read_bytes(), limits)
    except ImageError as error:
        return Picture(error.fault.value, error.message)
    except OSError:
        return Picture(ImageFault.CORRUPT.value, "The stored image is missing or cannot be read.")
    digest = hashlib.sha256(f"{picture.width}x{picture.height}:".encode() + picture.tobytes())
    return Picture("", "", picture.width, picture.height, digest.hexdigest(), difference_hash(picture))


def difference_hash(picture: Image.Image) -> int | None:
    """Whether each cell of an 8 x 8 grid is brighter than its left neighbour, as 64 bits.

    N. Krawetz, "Kind of Like That" (2013), which also found up to 3 changed bits after resizing and
    compressing again. None where the grid differs by less than 2 of 255 levels.
    """
    grid = np.asarray(picture.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX), np.int16)
    if np.ptp(grid) < 2:
        return None
    bits = (grid[:, 1:] > grid[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
