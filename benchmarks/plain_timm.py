"""The loop that people really write: timm's transform, eager PyTorch, nothing tuned."""

from __future__ import annotations

import io

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from benchmarks.process import Timing, timed
from penult_server.engine.backbones.catalog import Catalog


class PlainTimm:
    """Decode, transform, stack, compute, in one thread but for PyTorch's own."""

    def __init__(self, backbone: str, pictures: list[bytes], threads: int) -> None:
        torch.set_num_threads(threads)
        architecture = Catalog(None, None, allow_download=True).describe(backbone).architecture
        # Random weights: the arithmetic is the same, and the features are not looked at.
        self._model = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
        self._transform = create_transform(**resolve_data_config({}, model=self._model))
        self._pictures = pictures

    def run(self, batch: int) -> Timing:
        """All pictures once."""
        return timed(len(self._pictures), lambda: self._features(batch))

    def _features(self, batch: int) -> np.ndarray:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(self._pictures), batch):
                pixels = [
                    self._transform(Image.open(io.BytesIO(picture)).convert("RGB"))
                    for picture in self._pictures[start : start + batch]
                ]
                rows.append(self._model(torch.stack(pixels)).numpy())
        return np.concatenate(rows)
