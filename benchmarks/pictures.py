"""The JPEG files that everything is measured with, in memory."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

# Phone photos as shops and data sets keep them; what the fallback imitates.
_FALLBACK_SIZE = (400, 533)
_QUALITY = 90


def load_pictures(folder: Path | None, count: int) -> list[bytes]:
    """`count` JPEG files, spread evenly over those of `folder` and repeated where it holds fewer.

    Without a folder they are different cuts of the two photographs that scikit-learn ships.

    Raises:
        FileNotFoundError: the folder holds no JPEG file.
    """
    if folder is None:
        return _cuts(count)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise FileNotFoundError(f"no JPEG file in {folder}")
    step = max(1, len(files) // count)
    chosen = [path.read_bytes() for path in files[::step][:count]]
    return [chosen[position % len(chosen)] for position in range(count)]


def small_picture(picture: bytes, side: int = 224) -> bytes:
    """The picture squeezed to `side` x `side` pixels, as a JPEG file: what latency is measured with."""
    with Image.open(io.BytesIO(picture)) as photo:
        return _jpeg(photo.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def _cuts(count: int) -> list[bytes]:
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    width, height = _FALLBACK_SIZE
    cuts = []
    for number in range(count):
        photo = photos[number % len(photos)]
        zoom = 0.5 + 0.5 * (number * 7 % count) / count
        cut_height = photo.height * zoom
        cut_width = cut_height * width / height
        left = (photo.width - cut_width) * (number * 3 % count) / count
        top = (photo.height - cut_height) * (number * 5 % count) / count
        box = (left, top, left + cut_width, top + cut_height)
        cuts.append(_jpeg(photo.resize(_FALLBACK_SIZE, Image.Resampling.BICUBIC, box=box)))
    return cuts


def _jpeg(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
