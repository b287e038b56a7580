"""Which file formats are decoded, and which format a file claims to be."""

from __future__ import annotations

import io
import struct
import warnings

from PIL import Image, ImageFile, PngImagePlugin

from penult_server.core.images import ImageError, ImageFault

# A signature of these is proof: when the rest then does not parse, the file is damaged.
_SIGNED = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000", "PSD", "QOI", "ICO")
# Two bytes or none at all: these only count once their header has parsed. TGA has none, so it is last.
_UNSIGNED = ("BMP", "PPM", "SGI", "DIB", "PCX", "TGA")

# Left out on purpose: EPS and WMF (run programs or draw vectors), formats that Pillow only recognises
# (GRIB, HDF5, MPEG, ...), and texture or scanner formats decoded pixel by pixel in Python.
FORMATS = _SIGNED + _UNSIGNED

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")

Image.init()
# Pillow remarks on odd metadata through warnings, and Python keeps each distinct text for ever.
warnings.filterwarnings("ignore", module=r"PIL\.")


def parse_header(data: bytes) -> ImageFile.ImageFile:
    """Reads the header of an image file and decodes no pixels, except for icons.

    `Image.open` is not used, because it applies the process-wide pixel limit of Pillow and reports a
    damaged file as an unknown one.

    Raises:
        ImageError: UNRECOGNISED or UNSUPPORTED.
        Exception: whatever the parser of the recognised format raises on damaged data.
    """
    prefix = data[:16]
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIC_BRANDS:
        raise ImageError(ImageFault.UNSUPPORTED, "HEIC pictures are not decoded; convert this one to JPEG.")
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        accepted = accept(prefix) if accept else True
        if isinstance(accepted, str):  # recognised, but this build of Pillow lacks the decoder
            raise ImageError(ImageFault.UNSUPPORTED, f"{name} pictures cannot be decoded by this server.")
        if not accepted:
            continue
        if name in _SIGNED:
            return factory(io.BytesIO(data), "")
        try:
            return factory(io.BytesIO(data), "")
        except Exception:  # any parser may fail in any way on a file of another format
            continue
    message = "This is no image file that the server knows; send JPEG, PNG, WebP, GIF, BMP or TIFF."
    raise ImageError(ImageFault.UNRECOGNISED, message)


def largest_icon(data: bytes) -> int:
    """Pixels of the largest picture inside an ICO file; 0 for other files.

    Pillow decodes an icon while it opens it, and the directory of an icon may lie about the sizes of
    the PNG and BMP pictures inside, so theirs are read here.

    Raises:
        struct.error: the file ends before a header that its directory points to.
    """
    if not data.startswith(b"\0\0\1\0"):
        return 0
    (count,) = struct.unpack_from("<H", data, 4)
    largest = 0
    for entry in range(count):
        (offset,) = struct.unpack_from("<I", data, 6 + 16 * entry + 12)
        if data[offset : offset + 8] == PngImagePlugin._MAGIC:
            width, height = struct.unpack_from(">II", data, offset + 16)
        else:
            width, height = struct.unpack_from("<ii", data, offset + 4)
        largest = max(largest, abs(width * height))
    return largest
