"""JPEG decoding on an NVIDIA device, for servers whose CPU cannot feed their GPU. Opt-in: it moves pixels.

nvJPEG rounds its inverse DCT and its chroma upsampling in other ways than libjpeg-turbo, so features
carry a fingerprint of their own. Source: `torchvision.io.decode_jpeg`, which serialises its calls.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

NUMERICS = "nvjpeg"


class NvjpegDecoder:
    """Decodes a JPEG file to an RGB picture, not yet turned upright. Threads may share one."""

    def __init__(self, device: torch.device) -> None:
        """Raises ValueError for a device that has no nvJPEG."""
        if device.type != "cuda":
            raise ValueError(f"nvjpeg needs a CUDA device, not {device}")
        self._device = device

    def __call__(self, data: bytes) -> Image.Image | None:
        """The picture, or None for a file that nvJPEG does not take: libjpeg-turbo then judges it."""
        encoded = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        try:
            planes = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=self._device)
        except RuntimeError:
            return None
        return Image.fromarray(np.ascontiguousarray(planes.permute(1, 2, 0).cpu().numpy()))
