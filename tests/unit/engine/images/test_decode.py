from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from penult_server.core.images import ImageError, ImageFault, ImageLimits
from penult_server.engine.images.decode import decode
from tests.unit.engine.images.files import colour_of, encode, fault_of, pixels_of

# pytest resets the filter by which formats.py silences Pillow's remarks on odd files.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

RED = Image.new("RGB", (40, 30), (250, 0, 0))

FORMATS = [
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "ICO",
    "PPM",
    "SGI",
    "PCX",
    "TGA",
]
FORMATS += ["QOI"] if "QOI" in Image.SAVE else []

# Every file of the folder odd/ of the shared test images: None is a picture.
PICTURES = """1_trns.png Landscape_6.jpg Portrait_8.jpg broken_exif_dpi.jpg chunk_no_actl.png
decompression_bomb_extents.gif dispose_bgnd.gif dispose_op_background.png empty_gps_ifd.jpg
exif-200dpcm.jpg exif-72dpi-int.jpg exif-dpi-zerodivision.jpg exif-ifd-offset.jpg exif_gps.jpg
exif_gps_typeerror.jpg exif_typeerror.jpg frozenpond.mpo hopper.bmp hopper.gif hopper.jpg hopper.ppm
hopper.webp hopper_16bit.pgm hopper_1bit.pbm hopper_bad_exif.jpg hopper_bw_500.png hopper_gray.jpg
hopper_orientation_2.jpg hopper_orientation_3.jpg hopper_orientation_4.jpg hopper_orientation_5.jpg
hopper_orientation_5.webp hopper_orientation_6.jpg hopper_orientation_7.jpg hopper_orientation_8.jpg
hopper_orientation_8.webp icc-after-SOF.jpg icc_profile_big.jpg invalid-exif-without-x-resolution.jpg
invalid-exif.jpg iptc.jpg iss634.webp junk_jpeg_header.jpg la.tga multipage.tiff multiple_exif.jpg
no-dpi-in-exif.jpg p_trns_single.png padded_idat.png pil_sample_cmyk.jpg rgb_trns.png single_frame.png
tiff_16bit_RGB_target.png tiff_16bit_RGBa_target.png transparent.webp truncated_app14.jpg
truncated_exif_dpi.jpg"""
ODD: dict[str, ImageFault | None] = dict.fromkeys(PICTURES.split())
ODD |= {
    "broken.png": ImageFault.CORRUPT,
    "broken_data_stream.png": ImageFault.CORRUPT,
    "cross_scan_line_truncated.tga": ImageFault.CORRUPT,
    "decompression_bomb.gif": ImageFault.TOO_LARGE,
    "decompression_bomb.ico": ImageFault.TOO_LARGE,
    "empty.jpg": ImageFault.EMPTY,
    "text.jpg": ImageFault.UNRECOGNISED,
    "timeout-6646305047838720": ImageFault.CORRUPT,
    "truncated_end_chunk.png": ImageFault.CORRUPT,
    "truncated_image.png": ImageFault.CORRUPT,
    "truncated_jpeg.jpg": ImageFault.CORRUPT,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files(shared_data: Path, name: str) -> None:
    assert fault_of((shared_data / "odd" / name).read_bytes()) == ODD[name]


def test_the_table_of_odd_files_is_complete(shared_data: Path) -> None:
    assert {path.name for path in (shared_data / "odd").iterdir()} == set(ODD)


@pytest.mark.parametrize("name", sorted(name for name in ODD if "hopper_orientation" in name))
def test_orientations_show_the_same_portrait(shared_data: Path, name: str) -> None:
    turned = pixels_of((shared_data / "odd" / name).read_bytes()).astype(int)
    upright = pixels_of((shared_data / "odd" / "hopper.jpg").read_bytes()).astype(int)
    # Each file was compressed anew; the wrong way round the mean difference is above 30.
    assert np.abs(turned - upright).mean() < 6


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_in_each_format_that_has_it(file_format: str, orientation: int) -> None:
    corners = Image.new("RGB", (64, 64), "black")
    corners.paste((255, 0, 0), (0, 0, 32, 32))  # red top left
    corners.paste((0, 0, 255), (32, 0, 64, 32))  # blue top right
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = corners if stored is None else corners.transpose(stored)
    pixels = pixels_of(encode(picture, file_format, exif=exif))[0].astype(int)
    assert np.abs(pixels[16, 16] - (255, 0, 0)).max() < 10
    assert np.abs(pixels[16, 48] - (0, 0, 255)).max() < 10
    assert pixels[48].max() < 10


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*garbage", b"\xff" * 40]
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_cost_the_picture(file_format: str, exif: bytes) -> None:
    red, green, blue = colour_of(encode(RED, file_format, exif=exif))
    assert red > 230
    assert max(green, blue) < 20


@pytest.mark.parametrize("file_format", FORMATS)
def test_formats(file_format: str) -> None:
    red, green, blue = colour_of(encode(RED, file_format))
    assert red > 230
    assert max(green, blue) < 20


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_counts(file_format: str) -> None:
    blue = Image.new("RGB", RED.size, (0, 0, 250))
    red, _, other = colour_of(encode(RED, file_format, save_all=True, append_images=[blue, blue]))
    assert red > 230
    assert other < 20


@pytest.mark.parametrize("file_format", ["EPS", "PDF"])
def test_formats_that_run_programs_are_not_recognised(file_format: str) -> None:
    assert fault_of(encode(RED, file_format)) == ImageFault.UNRECOGNISED


def test_svg_and_text_are_not_recognised() -> None:
    assert fault_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == ImageFault.UNRECOGNISED
    assert fault_of("not an image".encode("utf-16")) == ImageFault.UNRECOGNISED


def test_heic_gets_advice() -> None:
    with pytest.raises(ImageError, match="convert this one to JPEG") as caught:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ImageLimits())
    assert caught.value.fault == ImageFault.UNSUPPORTED


def test_a_valid_file_with_an_unknown_compression_is_unsupported() -> None:
    data = bytearray(encode(RED, "TIFF"))
    entry = data.index(struct.pack("<HHI", 259, 3, 1))  # Compression, one SHORT
    struct.pack_into("<H", data, entry + 8, 34712)  # JPEG 2000, which libtiff does not decode
    assert fault_of(bytes(data)) in (ImageFault.UNSUPPORTED, ImageFault.CORRUPT)


def test_bytes_are_limited_before_anything_is_parsed() -> None:
    assert fault_of(b"x" * 101, ImageLimits(max_bytes=100)) == ImageFault.TOO_LARGE
    assert fault_of(b"x" * 100, ImageLimits(max_bytes=100)) == ImageFault.UNRECOGNISED


@pytest.mark.parametrize("file_format", FORMATS)
def test_pixels_are_limited(file_format: str) -> None:
    data = encode(RED, file_format)
    pixels = 24 * 18 if file_format == "ICO" else 40 * 30  # Pillow writes icons in customary sizes only
    assert fault_of(data, ImageLimits(max_pixels=pixels * 16)) is None
    assert fault_of(data, ImageLimits(max_pixels=pixels - 1)) == ImageFault.TOO_LARGE


def test_pixels_are_counted_in_the_header_alone() -> None:
    """A header that promises 60000 x 60000 pixels, and no data: the limit answers before the decoder can."""
    header = struct.pack(">4sIIBBBBB", b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    png = start + header + struct.pack(">I", zlib.crc32(header))
    idat = struct.pack(">I", 1) + b"IDAT\0" + struct.pack(">I", zlib.crc32(b"IDAT\0"))
    assert fault_of(png + idat) == ImageFault.TOO_LARGE


def test_an_icon_cannot_hide_a_large_picture() -> None:
    inner = encode(Image.new("L", (3000, 3000)), "PNG")
    directory = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22)
    assert fault_of(directory + inner, ImageLimits(max_pixels=1_000_000)) == ImageFault.TOO_LARGE


def test_slow_decoders_have_a_lower_limit() -> None:
    twelve_bits = b"P5 100 100 4095\n" + b"\x07\xff" * 10_000
    assert fault_of(twelve_bits, ImageLimits(max_pixels=160_000)) is None
    assert fault_of(twelve_bits, ImageLimits(max_pixels=159_000)) == ImageFault.TOO_LARGE


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF"])
def test_frames_are_limited(file_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), (0, 0, level)) for level in (60, 120, 180, 240)]
    data = encode(RED.resize((16, 16)), file_format, save_all=True, append_images=frames)
    assert fault_of(data, ImageLimits(max_frames=5)) is None
    assert fault_of(data, ImageLimits(max_frames=4)) == ImageFault.TOO_LARGE


def test_jpeg_scans_are_limited() -> None:
    data = encode(RED, "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    assert fault_of(data) is None
    assert fault_of(data[:-2] + last_scan * 300 + data[-2:]) == ImageFault.TOO_LARGE


def test_limits_of_other_users_of_pillow_are_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    assert fault_of(encode(RED, "PNG"), ImageLimits(max_pixels=10)) == ImageFault.TOO_LARGE
    assert before == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_messages_name_the_limit_and_no_path() -> None:
    with pytest.raises(ImageError, match=r"1,200 pixels; the limit is 1,000"):
        decode(encode(RED, "PNG"), ImageLimits(max_pixels=1_000))
    with pytest.raises(ImageError) as caught:
        decode(encode(RED, "PNG")[:60], ImageLimits())
    assert "/" not in caught.value.message


def test_threads_agree(sample_jpegs: list[bytes]) -> None:
    expected = [pixels_of(data) for data in sample_jpegs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            results = list(pool.map(pixels_of, sample_jpegs * 4))
            assert all(np.array_equal(a, b) for a, b in zip(results, expected * 4, strict=True))


SMALL = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000)


def _real_files() -> list[bytes]:
    picture = Image.radial_gradient("L").resize((48, 40))
    colour = Image.merge("RGB", (picture, picture.rotate(90), picture.rotate(180)))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [encode(colour, name) for name in ("BMP", "AVIF", "JPEG2000", "ICO", "TGA", "PPM", "PCX")]
    files += [encode(colour, name, exif=exif) for name in ("JPEG", "PNG", "WEBP", "TIFF")]
    files += [encode(colour, "JPEG", progressive=True), encode(colour, "TIFF", compression="tiff_lzw")]
    files += [encode(colour, "GIF", save_all=True, append_images=[colour.rotate(45)])]
    files += [encode(colour.convert("CMYK"), "JPEG"), encode(colour.convert("P"), "PNG", transparency=3)]
    return files


REAL = _real_files()


def _fault_or_none(data: bytes) -> None:
    """Only ImageError may come out, and only pixels of the right shape."""
    assert fault_of(data, SMALL) in (None, *ImageFault)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    _fault_or_none(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REAL), st.binary(max_size=200))
def test_random_bytes_after_a_real_signature(data: bytes, tail: bytes) -> None:
    _fault_or_none(data[:24] + tail)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REAL), st.floats(0, 1))
def test_truncated_files(data: bytes, share: float) -> None:
    _fault_or_none(data[: int(share * len(data))])


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(REAL), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_flipped_bytes(data: bytes, flips: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for where, value in flips:
        damaged[int(where * where * (len(damaged) - 1))] = (
            value  # squared: headers break in more ways than pixels
        )
    _fault_or_none(bytes(damaged))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_truncated_photo_is_corrupt(sample_jpegs: list[bytes], cut: float) -> None:
    jpeg = sample_jpegs[0]
    png = encode(Image.open(io.BytesIO(jpeg)), "PNG")
    for data in (jpeg, png):
        assert fault_of(data[: int(cut * len(data))]) == ImageFault.CORRUPT
