"""Batches of training pictures: their order, their augmentation, and the processes that make them.

Which pictures a batch holds and how each is augmented follows from (seed, step) alone, whatever the
number of processes and wherever a run was resumed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from penult_server.core.finetune import epoch_order
from penult_server.core.preprocess import Preprocess
from penult_server.engine.finetune.pictures import Pictures
from penult_server.engine.finetune.randomness import seeded
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.machine import cores

_TRIVIAL_BINS = 31
Place = tuple[int, int, int]
"""(step, place within the batch, position of the picture in the training set)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Pictures uint8 (N, H, W, 3), their classes int64 (N,), and positions in the training set int64 (N,)."""

    pictures: torch.Tensor
    targets: torch.Tensor
    places: torch.Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingSet:
    """What trains: positions within `pictures` int64 (n,), and their classes int64 (n,)."""

    pictures: Pictures
    positions: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)


class BatchOrder(Sampler):
    """Which pictures each step sees. An epoch drops what does not fill a batch."""

    def __init__(
        self, data: TrainingSet, settings: FineTuneSettings, batch_size: int, first: int, steps: int,
        rank: int = 0, ranks: int = 1,
    ) -> None:  # fmt: skip
        """Steps `first` to `steps` - 1. Of each batch, rank r of R gets every R-th picture."""
        self._data = data
        self._settings = settings
        self._batch_size = batch_size
        self._range = range(first, steps)
        self._rank, self._ranks = rank, ranks

    def __len__(self) -> int:
        return len(self._range)

    def __iter__(self) -> Iterator[list[Place]]:
        each = steps_in_epoch(len(self._data), self._batch_size)
        epoch, order = -1, np.zeros(0, np.int64)
        for step in self._range:
            if step // each != epoch:
                epoch = step // each
                order = epoch_order(
                    self._data.targets, self._settings.seed, epoch, balanced=self._settings.class_balanced
                )
            start = step % each * self._batch_size
            batch = order[start : start + self._batch_size]
            yield [(step, n, int(batch[n])) for n in range(self._rank, len(batch), self._ranks)]


class AugmentedPictures(Dataset):
    """A picture of the training set, augmented as its place in the run says."""

    def __init__(self, data: TrainingSet, settings: FineTuneSettings, preprocess: Preprocess) -> None:
        """`preprocess` gives the size of a picture."""
        self._data = data
        self._seed = settings.seed
        self._augment = make_augmentation(settings, preprocess)
        self._as_served = settings.augmentation == "flip"

    def __getitem__(self, place: Place) -> tuple[np.ndarray, int, int]:
        step, number, position = place
        at = int(self._data.positions[position])
        if self._augment is None:
            pixels = np.asarray(self._data.pictures.served(at))
        else:
            picture = (
                Image.fromarray(self._data.pictures.served(at))
                if self._as_served
                else self._data.pictures.training(at)
            )
            with seeded(self._seed, step, number):
                pixels = np.asarray(self._augment(picture))
        return pixels, int(self._data.targets[position]), position


def make_augmentation(
    settings: FineTuneSettings, preprocess: Preprocess
) -> Callable[[Image.Image], Image.Image] | None:
    """From a whole picture to a random view of the input size; None for the view that is served.

    `flip` takes the view that is served, and so leaves everything in it at the size that it is judged at.
    """
    if settings.augmentation == "none":
        return None
    if settings.augmentation == "flip":
        return v2.Compose(
            [v2.RandomHorizontalFlip(settings.horizontal_flip), v2.RandomVerticalFlip(settings.vertical_flip)]
        )
    arguments: dict[str, Any] = {}
    if settings.augmentation == "randaugment":
        arguments["auto_augment"] = "rand-m9-mstd0.5-inc1"
    made = create_transform(
        (3, *preprocess.input_size),
        is_training=True,
        use_prefetcher=True,  # ends with pixels, not with normalised floats
        scale=(settings.crop_scale, 1.0),
        hflip=settings.horizontal_flip,
        vflip=settings.vertical_flip,
        color_jitter=0.0,
        interpolation=preprocess.interpolation,
        mean=preprocess.mean,
        std=preprocess.std,
        **arguments,
    )
    steps = list(made.transforms[:-1])  # without the last one, to a (3, H, W) array
    if settings.augmentation == "trivialaugment":
        fill = [round(255 * value) for value in preprocess.mean]
        steps.append(v2.TrivialAugmentWide(num_magnitude_bins=_TRIVIAL_BINS, fill=fill))
    return v2.Compose(steps)


def steps_in_epoch(count: int, batch_size: int) -> int:
    """Whole batches in an epoch of `count` pictures, at least one."""
    return max(1, count // batch_size)


def load_batches(
    data: TrainingSet,
    settings: FineTuneSettings,
    preprocess: Preprocess,
    batch_size: int,
    first: int,
    steps: int,
    *,
    pinned: bool = False,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Batch]:
    """The batches of steps `first` to `steps` - 1, made ahead in processes of their own."""
    workers = settings.loader_workers
    if workers < 0:
        workers = min(4, cores() // 2)
    loader = DataLoader(
        AugmentedPictures(data, settings, preprocess),
        batch_sampler=BatchOrder(data, settings, batch_size, first, steps, rank, ranks),
        num_workers=workers,
        collate_fn=_collate,
        multiprocessing_context="fork" if workers else None,
        generator=torch.Generator(),  # else it would draw from the one that training uses
    )
    for arrays in loader:
        pictures, targets, places = map(torch.from_numpy, arrays)
        yield Batch(pictures.pin_memory() if pinned else pictures, targets, places)


def _collate(items: list[tuple[np.ndarray, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Arrays come through a pipe. Tensors would take shared memory, of which a container has little, and a
    # socket below TMPDIR, whose path may be too long for one: the batch is lost then, and awaited for ever.
    pixels, targets, places = zip(*items, strict=True)
    return np.stack(pixels), np.array(targets, np.int64), np.array(places, np.int64)
