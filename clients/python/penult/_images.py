"""One image as a message, without touching its content: files and bytes go as they are."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np

from penult._channel import MAX_MESSAGE_BYTES
from penult._tensors import tensor_message
from penult.sources import is_pil
from penult.v1 import image_pb2

if TYPE_CHECKING:
    from PIL import Image

    from penult.sources import ImageLike

MAX_IMAGE_BYTES = MAX_MESSAGE_BYTES - (2 << 20)  # leaves room for the rest of its message

# Modes that each format keeps as they are; what is left is converted.
_PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
_TIFF_MODES = frozenset({"CMYK", "F", "I", "LAB"})


class BadImage(Exception):
    """This one image cannot be sent; `reason` and `message` go into its ItemError."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def image_name(image: ImageLike) -> str:
    """Path of the image where it has one, else ""."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    return str(getattr(image, "filename", "")) if is_pil(image) else ""


def image_message(image: ImageLike) -> image_pb2.Image:
    """The image as it travels.

    Raises:
        BadImage: it cannot be read, or cannot be sent.
    """
    if isinstance(image, str | os.PathLike):
        return image_pb2.Image(encoded=_read(os.fspath(image)))
    if isinstance(image, bytes | bytearray | memoryview):
        _check_size(memoryview(image).nbytes)
        return image_pb2.Image(encoded=bytes(image))
    if isinstance(image, np.ndarray):
        return _pixels(image)
    return _pil(image)


def _read(path: str) -> bytes:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait, reading a device never end
            raise BadImage("FILE_UNREADABLE", "not a regular file")
        _check_size(status.st_size)
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise BadImage("FILE_UNREADABLE", error.strerror or str(error)) from error
    except ValueError as error:  # a path with a null character
        raise BadImage("FILE_UNREADABLE", str(error)) from error


def _check_size(size: int) -> None:
    if size > MAX_IMAGE_BYTES:
        raise BadImage(
            "IMAGE_TOO_LARGE",
            f"{size / (1 << 20):.0f} MiB, and a message takes {MAX_IMAGE_BYTES >> 20}; make it smaller",
        )


def _pixels(array: np.ndarray[Any, Any]) -> image_pb2.Image:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype not in (np.uint8, np.float16, np.float32):
        raise BadImage("IMAGE_BAD_PIXELS", f"dtype {array.dtype}; give uint8 in 0..255 or float in 0..1")
    _check_size(array.nbytes)
    return image_pb2.Image(pixels=tensor_message(array))


def _pil(image: Image.Image) -> image_pb2.Image:
    from PIL import ImageOps

    try:
        # The server turns files upright by their EXIF; pixels carry none, so it is done here.
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in _PNG_MODES | _TIFF_MODES:
            upright = upright.convert("RGBA" if upright.mode in ("RGBa", "La", "PA") else "RGB")
        if upright.mode in ("L", "RGB", "RGBA") and "transparency" not in upright.info:
            return _pixels(np.asarray(upright))
        file = io.BytesIO()
        if upright.mode in _PNG_MODES:
            upright.save(file, "PNG", compress_level=1)
        else:
            upright.save(file, "TIFF")
    except (OSError, ValueError, SyntaxError, TypeError, IndexError, NotImplementedError) as error:
        # What Pillow's lazy decoders raise for damaged files.
        raise BadImage("IMAGE_CORRUPT", f"Pillow cannot read it: {error}") from error
    _check_size(file.tell())
    return image_pb2.Image(encoded=file.getvalue())
