"""The contract between features of datasets in core and what keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a feature cache holds, and what came of looking since the start of the server.

    Attributes:
        vectors, bytes: what is kept now.
        hits, misses: images that were asked for and there with all their views, or not.
        damaged: vectors that were thrown away because they were not what was written.
        failed_writes: times that something could not be kept, as on a full disk.
    """

    vectors: int
    bytes: int
    hits: int
    misses: int
    damaged: int
    failed_writes: int


class FeatureCache(Protocol):
    """Keeps features by image and fingerprint of the view, within a bound. Blocking.

    Never raises for what goes wrong with it: what cannot be read is missing, what cannot be written is
    not kept.
    """

    def get(self, fingerprints: Sequence[str], sha256s: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Features float32 (views, dim) of those images that are there with all the views, by sha256."""
        ...

    def put(self, fingerprints: Sequence[str], features: Mapping[str, np.ndarray]) -> None:
        """Keeps features float32 (views, dim) of images by sha256. The least recently used go first."""
        ...

    def statistics(self) -> CacheStatistics:
        """What it holds."""
        ...
