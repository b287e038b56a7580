from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from penult_server.core.images import EncodedImage, ImageFault, ImageLimits
from penult_server.core.preprocess import PLAIN
from penult_server.engine.images.decode import decode
from penult_server.engine.images.nvjpeg import NvjpegDecoder
from penult_server.engine.images.preprocessor import ImagePreprocessor
from tests.unit.engine.images.files import WHOLE, encode, fault_of


def test_a_device_without_nvjpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="CUDA"):
        NvjpegDecoder(torch.device("cpu"))


def test_only_plain_jpegs_go_to_the_other_decoder_and_what_it_leaves_comes_back(
    sample_jpegs: list[bytes],
) -> None:
    asked: list[bytes] = []

    def green(data: bytes) -> Image.Image | None:
        asked.append(data)
        return (
            None if data == sample_jpegs[1] else Image.new("RGB", Image.open(io.BytesIO(data)).size, "green")
        )

    png = encode(Image.open(io.BytesIO(sample_jpegs[0])), "PNG")
    cmyk = encode(Image.open(io.BytesIO(sample_jpegs[0])).convert("CMYK"), "JPEG")
    for data, is_green in ((sample_jpegs[0], True), (sample_jpegs[1], False), (png, False), (cmyk, False)):
        picture = decode(data, ImageLimits(), green)
        assert (picture.getpixel((5, 5)) == (0, 128, 0)) == is_green
    assert asked == sample_jpegs[:2]


def test_what_it_decodes_is_turned_upright(sample_jpegs: list[bytes]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(buffer, "JPEG", exif=exif)
    turned = decode(buffer.getvalue(), ImageLimits(), lambda data: Image.new("RGB", (40, 20), "blue"))
    assert turned.size == (20, 40)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_nvjpeg_pictures_are_close_to_pillows_and_damage_is_still_told(sample_jpegs: list[bytes]) -> None:
    fast = ImagePreprocessor(ImageLimits(), NvjpegDecoder(torch.device("cuda:0")))
    exact = ImagePreprocessor(ImageLimits())
    for data in sample_jpegs:
        difference = fast(EncodedImage(data), WHOLE, PLAIN).astype(int) - exact(
            EncodedImage(data), WHOLE, PLAIN
        )
        assert np.abs(difference).mean() < 2
    assert fault_of(b"\xff\xd8\xff" + bytes(100)) in set(ImageFault)
