"""Real photographs that are always at hand: for the check of a provider, for warm-up and for readiness.

They are cut out of the two sample images that scikit-learn ships (both CC BY), so no network, no data
directory and no file of ours is needed, and noise never stands in for a picture.
"""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

COUNT = 8


@functools.lru_cache(maxsize=8)
def probe_pictures(input_size: tuple[int, int]) -> np.ndarray:
    """COUNT different crops as uint8 (COUNT, H, W, 3); read-only."""
    height, width = input_size
    crops = []
    for pixels in load_sample_images().images:
        photo = Image.fromarray(pixels)
        for step in range(COUNT // 2):
            side = min(photo.size) * (0.5 + step / COUNT)
            left = (photo.width - side) * step / (COUNT // 2 - 1)
            top = (photo.height - side) * (1 - step / (COUNT // 2 - 1))
            box = (left, top, left + side, top + side)
            crops.append(np.asarray(photo.resize((width, height), Image.Resampling.BICUBIC, box=box)))
    pictures = np.stack(crops)
    pictures.flags.writeable = False
    return pictures
