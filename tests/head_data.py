"""Small training data for tests of heads: clusters in a space of 24 dimensions, always the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from penult_server.engine.heads.data import TrainingData

DIM = 24


class Silent:
    """Implements engine.heads.search.Report."""

    def progress(self, done: int, total: int = 0, *, unit: str = "", phase: str = "") -> None:
        pass

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        pass

    def log(self, text: str) -> None:
        pass


def clusters(classes: int = 4, *, spread: float = 1.8, noise: bool = False, images: int = 40) -> TrainingData:
    """`images` a class, 3 of 5 in train, one in validation and test. `noise`: labels mean nothing."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((classes, DIM)) * 1.2
    targets = np.tile(np.arange(classes), images)
    features = centres[targets] + spread * rng.standard_normal((len(targets), DIM))
    if noise:
        targets = rng.permutation(targets)
    splits = [
        ("train", "train", "train", "validation", "test")[n // classes % 5] for n in range(len(targets))
    ]
    return TrainingData(
        features.astype(np.float32)[:, None],
        targets,
        tuple(f"class{n}" for n in range(classes)),
        splits,
        [f"image{n}" for n in range(len(targets))],
    )


def several_labels(labels: int = 5, images: int = 240) -> TrainingData:
    """Each label moves the feature its own way; an image has one label and up to all."""
    rng = np.random.default_rng(0)
    targets = rng.random((images, labels)) < 0.35
    targets[np.arange(images), rng.integers(0, labels, images)] = True
    ways = rng.standard_normal((labels, DIM)) * 2
    features = targets @ ways + rng.standard_normal((images, DIM))
    return TrainingData(
        features.astype(np.float32)[:, None],
        targets,
        tuple(f"label{n}" for n in range(labels)),
        [("train", "train", "train", "validation", "test")[n % 5] for n in range(images)],
        [f"image{n}" for n in range(images)],
    )
