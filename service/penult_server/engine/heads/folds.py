"""Folds of cross-validation: stratified, by image (views of an image stay together), the same every time."""

from __future__ import annotations

import numpy as np


def strata(targets: np.ndarray) -> np.ndarray:
    """int64 (N,) one class an image; of a multi-label image its rarest label."""
    if targets.ndim == 1:
        return targets
    frequency = np.where(targets, targets.sum(axis=0), len(targets) + 1)
    return frequency.argmin(axis=1)


def fold_of(targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """int64 (N,): the fold each image is held out in.

    Every class is dealt out in a random order, one class going on where the last one ended: folds differ
    by at most one image in size, and so does each class's part of them.
    """
    generator = np.random.default_rng(seed)
    groups = strata(targets)
    order = generator.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % folds
    return fold


def nested_subsets(targets: np.ndarray, sizes: list[int], seed: int) -> list[np.ndarray]:
    """Subsets of these sizes, each part of the next, with every class in its share as far as it goes."""
    generator = np.random.default_rng(seed)
    groups = strata(targets)
    order = generator.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    counts = np.bincount(groups)
    starts = np.cumsum(counts) - counts
    sorted_groups = groups[order]
    # The n-th of a class's images comes when (n + 1/2) / count of everything has been taken.
    position = (np.arange(len(order)) - starts[sorted_groups] + 0.5) / counts[sorted_groups]
    ranked = order[np.argsort(position, kind="stable")]
    return [np.sort(ranked[:size]) for size in sizes]
