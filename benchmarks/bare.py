"""The bare loop: the server's own decoder and model with nothing around them, arranged in several ways."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from benchmarks.process import Timing, timed
from penult_server.core.images import EncodedImage, ImageLimits
from penult_server.core.preprocess import PLAIN
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.device_thread import Pending, Runner
from penult_server.engine.images.preprocessor import ImagePreprocessor
from penult_server.engine.loader import pick_device
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.providers.base import PROVIDERS, Placement, Precision

# Batches that are decoding ahead of the one that computes.
_AHEAD = 2
# Forward passes in flight in the pipelined arrangement.
_IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Arrangement:
    """One way to write the loop."""

    name: str
    batch: int

    def __str__(self) -> str:
        return f"{self.name}, batch {self.batch}"


class BareLoops:
    """One provider, tuned as the server tunes it, and every arrangement of the loop over some pictures.

    Arrangements:
        sequential: decode a batch on all threads, then compute it.
        prefetch: decode ahead on all threads while the main thread computes.
        prefetch one: the same with one decoding thread.
        pipelined: prefetch with two forward passes in flight.
        lanes: each core decodes and computes its own batches on one thread.
    """

    def __init__(self, backbone: str, provider: str, pictures: list[bytes], threads: int) -> None:
        tune_malloc()
        torch.set_num_threads(threads)
        self._device = pick_device("auto")
        self._images = [EncodedImage(picture) for picture in pictures]
        self._preprocess = ImagePreprocessor(ImageLimits())
        built = Catalog(None, None, allow_download=True).build(backbone)
        self._facts = built.facts
        self._threads = threads
        self._batches = (4, 8, 16) if self._device.type == "cpu" else (32, 64, 128)
        chosen = next(p for p in PROVIDERS if p.name == provider and p.device_type == self._device.type)

        def build(compute_threads: int) -> Runner:
            precision: Precision = "float32" if self._device.type == "cpu" else "float16"
            placement = Placement(self._device, precision, compute_threads, self._batches)
            return chosen.build(built.network, built.facts.preprocess.input_size, placement)

        self._runner = build(threads)
        self._lanes = [build(1) for _ in range(threads)] if self._device.type == "cpu" else []
        self._pool = ThreadPoolExecutor(threads)
        self._single = ThreadPoolExecutor(1)
        self._lane_pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self._loops: dict[str, Callable[[list[EncodedImage], int], list[np.ndarray]]] = {
            "sequential": self._sequential,
            "prefetch": lambda images, batch: self._ahead(images, batch, self._pool, 1),
            "prefetch one": lambda images, batch: self._ahead(images, batch, self._single, 1),
            "pipelined": lambda images, batch: self._ahead(images, batch, self._pool, _IN_FLIGHT),
            "lanes": self._in_lanes,
        }

    def arrangements(self) -> list[Arrangement]:
        """All that can be measured here."""
        names = [name for name in self._loops if self._lanes or name != "lanes"]
        return [Arrangement(name, batch) for name in names for batch in self._batches]

    def run(self, arrangement: Arrangement, share: int = 1) -> Timing:
        """All pictures once, or the first of `share` parts of them."""
        loop, images = self._loops[arrangement.name], self._images[: len(self._images) // share]
        return timed(len(images), lambda: loop(images, arrangement.batch))

    def features(self) -> np.ndarray:
        """(N, dim) float32 features of the pictures, to compare the server's with."""
        return np.concatenate(self._sequential(self._images, self._batches[0]))

    def model_alone(self, batch: int) -> Timing:
        """As many forward passes as all pictures need, over pixels that are decoded already."""
        pixels = np.stack([self._decode(image) for image in self._images[:batch]])
        passes = max(1, len(self._images) // len(pixels))

        def work() -> None:
            for _ in range(passes):
                self._runner.start(pixels).result()

        return timed(passes * len(pixels), work)

    def decode_alone(self) -> Timing:
        """Every picture decoded and resized in this one thread."""
        return timed(len(self._images), lambda: [self._decode(image) for image in self._images])

    def latency(self, picture: bytes, count: int) -> list[float]:
        """Seconds from JPEG file to feature, one picture at a time."""
        image = EncodedImage(picture)
        return [
            timed(1, lambda: self._runner.start(self._decode(image)[np.newaxis]).result()).wall
            for _ in range(count)
        ]

    def _decode(self, image: EncodedImage) -> np.ndarray:
        return self._preprocess(image, self._facts.preprocess, PLAIN)[0]

    def _sequential(self, images: list[EncodedImage], batch: int) -> list[np.ndarray]:
        return [
            self._runner.start(np.stack(list(self._pool.map(self._decode, part)))).result()
            for part in _cut(images, batch)
        ]

    def _ahead(
        self, images: list[EncodedImage], batch: int, pool: ThreadPoolExecutor, in_flight: int
    ) -> list[np.ndarray]:
        decoding: collections.deque[list[Future[np.ndarray]]] = collections.deque()
        computing: collections.deque[Pending] = collections.deque()
        rows: list[np.ndarray] = []

        def compute() -> None:
            pixels = np.stack([future.result() for future in decoding.popleft()])
            computing.append(self._runner.start(pixels))
            if len(computing) >= in_flight:
                rows.append(computing.popleft().result())

        for part in _cut(images, batch):
            decoding.append([pool.submit(self._decode, image) for image in part])
            if len(decoding) > _AHEAD:
                compute()
        while decoding:
            compute()
        return rows + [pending.result() for pending in computing]

    def _in_lanes(self, images: list[EncodedImage], batch: int) -> list[np.ndarray]:
        free = collections.deque(self._lanes)

        def work(part: list[EncodedImage]) -> np.ndarray:
            runner = free.popleft()
            try:
                return runner.start(np.stack([self._decode(image) for image in part])).result()
            finally:
                free.append(runner)

        return list(self._lane_pool.map(work, _cut(images, batch)))


def _cut(images: list[EncodedImage], batch: int) -> Iterator[list[EncodedImage]]:
    for start in range(0, len(images), batch):
        yield images[start : start + batch]
