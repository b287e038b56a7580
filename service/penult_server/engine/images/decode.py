"""From the bytes of an image file to an upright RGB picture: the trust boundary for images."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from PIL import ExifTags, Image, ImageFile

from penult_server.core.images import ImageError, ImageFault, ImageLimits
from penult_server.engine.images.convert import to_rgb
from penult_server.engine.images.formats import largest_icon, parse_header

# Decoders written in Python hold the interpreter's lock for about a second per million pixels.
_SLOW_DECODER_SHARE = 16
# Each scan of a progressive JPEG is a pass over the whole picture and may cost the sender 10 bytes.
# Encoders write about ten; a file may hold a few pictures (thumbnail, preview, second view).
_MAX_JPEG_SCANS = 200

_SAYS_UNSUPPORTED = ("nsupported", "not supported", "not available", "not implemented", "unknown pixel mode")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


JpegDecoder = Callable[[bytes], "Image.Image | None"]
"""Another way to the RGB pixels of a JPEG; None where it does not take the file."""


def decode(data: bytes, limits: ImageLimits, jpeg_decoder: JpegDecoder | None = None) -> Image.Image:
    """Decodes the first frame of an image file.

    Returns:
        A loaded picture of mode "RGB", turned upright as its EXIF orientation says.

    Raises:
        ImageError: whatever is wrong with the bytes; nothing else is raised.
    """
    if not data:
        raise ImageError(ImageFault.EMPTY, "The image has no bytes.")
    if len(data) > limits.max_bytes:
        raise _too_large(f"{len(data):,} bytes", f"{limits.max_bytes:,}")
    try:
        check_pixels(largest_icon(data), limits)
        file = parse_header(data)
        _check_header(file, data, limits)
        picture = jpeg_decoder(data) if jpeg_decoder and _plain_jpeg(file) else None
        if picture is None:
            file.load()
            picture = to_rgb(file)
        turn = _turn(file)  # after loading, which turns TIFF upright and forgets its orientation
        return picture if turn is None else picture.transpose(turn)
    except ImageError:
        raise
    except Exception as error:
        # Decoders face hostile bytes here, and they answer with almost any type: OSError, SyntaxError,
        # TypeError, IndexError, struct.error, zlib.error, ... None of them says more than "not this image".
        raise _explain(error) from error


def _plain_jpeg(file: ImageFile.ImageFile) -> bool:
    return file.format == "JPEG" and file.mode in ("RGB", "L")


def check_pixels(pixels: int, limits: ImageLimits) -> None:
    """Raises ImageError(TOO_LARGE) for more pixels than the limit."""
    if pixels > limits.max_pixels:
        raise _too_large(f"{pixels:,} pixels", f"{limits.max_pixels:,}")


def _check_header(file: ImageFile.ImageFile, data: bytes, limits: ImageLimits) -> None:
    """Applies the limits to what the header states, before any pixel is decoded."""
    pixels = file.width * file.height
    check_pixels(pixels, limits)
    if pixels <= 0:
        raise ImageError(ImageFault.EMPTY, "The image has no pixels.")
    if any(tile[0] in Image.DECODERS for tile in file.tile):
        most = limits.max_pixels // _SLOW_DECODER_SHARE
        if pixels > most:
            raise _too_large(f"{pixels:,} pixels in a {file.format} file", f"{most:,}; PNG allows more")
    # GIF and TIFF state no number of frames. Counting them would cost more than the one that is used.
    frames = vars(file).get("n_frames", 1)
    if frames > limits.max_frames:
        raise _too_large(f"{frames:,} frames", f"{limits.max_frames:,}")
    if file.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MAX_JPEG_SCANS:
        raise _too_large("too many scans", f"{_MAX_JPEG_SCANS}; save it again as a baseline JPEG")


def _turn(file: Image.Image) -> Image.Transpose | None:
    """What the EXIF (or XMP) orientation asks for."""
    try:
        return _TURNS.get(file.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # metadata is damaged in as many ways as pixels are, and must not cost a good picture
        return None


def _too_large(what: str, limit: str) -> ImageError:
    return ImageError(ImageFault.TOO_LARGE, f"The image has {what}; the limit is {limit}.")


def _explain(error: Exception) -> ImageError:
    """Names the fault behind a decoder's exception. Only the decoder's words are shown, never a path."""
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return ImageError(ImageFault.TOO_LARGE, "The image has more pixels than the decoder accepts.")
    if isinstance(error, MemoryError):
        return ImageError(ImageFault.TOO_LARGE, "There was not enough memory to decode the image.")
    words = "" if isinstance(error, OSError) and error.filename else str(error)[:200]
    detail = f" ({words})" if words and words.isprintable() and os.sep not in words else ""
    if isinstance(error, NotImplementedError) or any(hint in words.lower() for hint in _SAYS_UNSUPPORTED):
        return ImageError(ImageFault.UNSUPPORTED, f"The image needs a feature that is missing here{detail}.")
    if isinstance(error, struct.error):
        detail = ""  # its words are about Python's struct module
    return ImageError(ImageFault.CORRUPT, f"The image data is damaged or ends too early{detail}.")
