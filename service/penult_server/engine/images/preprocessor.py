"""The one way from an image to the pixels that a backbone sees."""

from __future__ import annotations

import numpy as np

from penult_server.core.images import EncodedImage, ImageError, ImageFault, ImageLimits, SourceImage
from penult_server.core.preprocess import Preprocess, TestTimeAugmentation, plan_views
from penult_server.engine.images.decode import JpegDecoder, decode
from penult_server.engine.images.pixels import from_pixels
from penult_server.engine.images.views import render


class ImagePreprocessor:
    """Implements `core.ports.ImagePreprocessor` with Pillow. Any number of threads may share one."""

    def __init__(self, limits: ImageLimits, jpeg_decoder: JpegDecoder | None = None) -> None:
        """`limits` hold for every image; `jpeg_decoder` replaces Pillow for JPEG files."""
        self._limits = limits
        self._jpeg_decoder = jpeg_decoder

    def __call__(self, image: SourceImage, preprocess: Preprocess, tta: TestTimeAugmentation) -> np.ndarray:
        """Decodes once and renders every view; see the port for the result.

        Raises:
            ImageError: this image cannot be used.
        """
        if isinstance(image, EncodedImage):
            picture = decode(image.data, self._limits, self._jpeg_decoder)
        else:
            picture = from_pixels(image.pixels, self._limits)
        width, height = picture.size
        try:
            return render(picture, plan_views((height, width), preprocess, tta), preprocess)
        except MemoryError as error:
            message = "There was not enough memory to resize the image."
            raise ImageError(ImageFault.TOO_LARGE, message) from error
