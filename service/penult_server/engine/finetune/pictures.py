"""The pictures of a snapshot, decoded once and kept on disk in the two sizes that training needs.

`served` is the picture exactly as a client's picture reaches the backbone. `training` is larger, whole
and of its own shape, for random crops to be cut from. Where the disk has no room, both are decoded again
each time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from penult_server.core.disk_faults import is_full
from penult_server.core.images import ImageError, ImageFault, ImageLimits
from penult_server.core.preprocess import PLAIN, Preprocess, plan_views
from penult_server.engine.images.decode import decode
from penult_server.engine.images.views import render
from penult_server.engine.machine import cores

_LONGEST = 3
"""The long side of a training picture is at most this many times the short side that is aimed at."""
_CHUNK = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What was found out about one file: why it cannot be used ("" if it can), and a digest of its pixels."""

    reason: str = ""
    digest: str | None = None


class Pictures:
    """Pictures by their position in the snapshot. Processes may share one; forked ones share its memory."""

    def __init__(self, files: Sequence[Path], preprocess: Preprocess, limits: ImageLimits) -> None:
        """`files`: one image file each."""
        self._files = files
        self._preprocess = preprocess
        self._limits = limits
        self._short = max(preprocess.resize)
        self._served: np.ndarray | None = None
        self._training: np.ndarray | None = None
        self._shapes = np.zeros((0, 2), np.int64)
        self._starts = np.zeros(0, np.int64)

    @property
    def cached(self) -> bool:
        """Whether they lie decoded on disk."""
        return self._served is not None

    def served(self, position: int) -> np.ndarray:
        """uint8 (H, W, 3) as for a prediction. Raises ImageError where the file cannot be used."""
        if self._served is not None:
            return self._served[position]
        return self._as_served(self._decode(position))

    def training(self, position: int) -> Image.Image:
        """The whole picture, its short side no longer than the resize of the backbone's preprocessing."""
        if self._training is not None:
            height, width = (int(side) for side in self._shapes[position])
            start = int(self._starts[position])
            pixels = self._training[start : start + height * width * 3]
            return Image.fromarray(pixels.reshape(height, width, 3))
        return self._for_training(self._decode(position))

    def examine(self, directory: Path, budget: int, progress: Callable[[int], None]) -> list[Look]:
        """Looks at every file once, and keeps the pixels in `directory` if they fit.

        Args:
            directory: of the job; holds the cache of an earlier run, if there was one.
            budget: bytes that the cache may take.
            progress: is told how many files are done.
        """
        cache = directory / "pictures"
        known = cache / "looks.json"
        if known.exists():
            looks = [Look(**look) for look in json.loads(known.read_bytes())]
            self._open(cache)
            return looks
        # A cache without its list is one that a crash left half made.
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir()
        budget = min(budget, shutil.disk_usage(directory).free // 2)
        try:
            looks = self._fill(cache, budget, progress)
        except OSError as error:
            if not is_full(error):
                raise
            self._drop(cache)
            looks = self._fill(cache, 0, progress)
        part = known.with_suffix(".part")
        part.write_text(json.dumps([dataclasses.asdict(look) for look in looks]), encoding="utf-8")
        part.rename(known)
        self._open(cache)
        return looks

    def _fill(self, cache: Path, budget: int, progress: Callable[[int], None]) -> list[Look]:
        """One pass over all files. Past the budget what is kept is dropped, and the pass only looks."""
        looks: list[Look] = []
        shapes: list[tuple[int, int]] = []
        written = 0
        keep = budget > 0
        height, width = self._preprocess.input_size
        with (
            ThreadPoolExecutor(cores()) as pool,
            open(cache / "served", "wb") as served,
            open(cache / "training", "wb") as training,
        ):
            for first in range(0, len(self._files), _CHUNK):
                chunk = range(first, min(first + _CHUNK, len(self._files)))
                for look, small, whole in pool.map(self._look, chunk):
                    looks.append(look)
                    progress(len(looks))
                    if not keep:
                        continue
                    if small is None or whole is None:
                        small, whole = np.zeros((height, width, 3), np.uint8), np.zeros((0, 0, 3), np.uint8)
                    served.write(small.tobytes())
                    training.write(whole.tobytes())
                    shapes.append(whole.shape[:2])
                    written += small.nbytes + whole.nbytes
                    if written > budget:
                        keep = False
        if keep:
            np.save(cache / "shapes.npy", np.array(shapes, np.int64).reshape(-1, 2))
        else:
            self._drop(cache)
        return looks

    def _look(self, position: int) -> tuple[Look, np.ndarray | None, np.ndarray | None]:
        try:
            picture = self._decode(position)
            small = self._as_served(picture)
        except ImageError as error:
            return Look(error.fault.value), None, None
        digest = hashlib.sha256(f"{picture.width}x{picture.height}:".encode() + picture.tobytes())
        return Look("", digest.hexdigest()), small, np.asarray(self._for_training(picture))

    def _open(self, cache: Path) -> None:
        if not (cache / "shapes.npy").exists():
            return
        self._shapes = np.load(cache / "shapes.npy")
        sizes = self._shapes.prod(axis=1) * 3
        self._starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
        shape = (len(self._shapes), *self._preprocess.input_size, 3)
        self._served = np.memmap(cache / "served", np.uint8, "r", shape=shape)
        self._training = (
            np.memmap(cache / "training", np.uint8, "r") if sizes.sum() else np.zeros(0, np.uint8)
        )

    def _drop(self, cache: Path) -> None:
        for name in ("served", "training", "shapes.npy"):
            (cache / name).unlink(missing_ok=True)

    def _decode(self, position: int) -> Image.Image:
        try:
            data = self._files[position].read_bytes()
        except OSError as error:
            raise ImageError(ImageFault.CORRUPT, "The stored image is missing or cannot be read.") from error
        return decode(data, self._limits)

    def _as_served(self, picture: Image.Image) -> np.ndarray:
        views = plan_views((picture.height, picture.width), self._preprocess, PLAIN)
        try:
            return render(picture, views, self._preprocess)[0]
        except MemoryError as error:
            raise ImageError(
                ImageFault.TOO_LARGE, "There was not enough memory to resize the image."
            ) from error

    def _for_training(self, picture: Image.Image) -> Image.Image:
        short, long = sorted(picture.size)
        scale = min(1.0, self._short / short, _LONGEST * self._short / long)
        if scale == 1.0:
            return picture
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        return picture.resize(size, Image.Resampling[self._preprocess.interpolation.upper()])


def free_cache(directory: Path) -> None:
    """Removes what `Pictures.examine` kept there."""
    shutil.rmtree(directory / "pictures", ignore_errors=True)
