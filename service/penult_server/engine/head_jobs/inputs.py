"""What a job's directory holds for a head, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penult_server.core.dataset_features import FeatureTable, load_features
from penult_server.core.snapshot import SnapshotExample


def usable(directory: Path, names: Sequence[str], count: int) -> np.ndarray:
    """Positions of the images that have all these features, int64."""
    failed = {image.position for name in names for image in FeatureTable.read(directory, name).failed}
    return np.setdiff1d(np.arange(count), np.fromiter(failed, np.int64, len(failed)))


def features_of(directory: Path, name: str, positions: np.ndarray) -> np.ndarray:
    """float32 (N, views, dim) of these images; a memory map where those are all."""
    features = load_features(directory, name)
    return features if len(positions) == len(features) else features[positions]


def picked(examples: Sequence[SnapshotExample], positions: np.ndarray) -> list[SnapshotExample]:
    """The examples at these positions."""
    return [examples[position] for position in positions]
