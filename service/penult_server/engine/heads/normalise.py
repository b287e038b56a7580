"""What is done to features before a head sees them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

Normalisation = Literal["l2", "standardize", "none"]
_TINY = 1e-12


@dataclasses.dataclass(frozen=True, slots=True)
class Normaliser:
    """Scales features. `mean` and `deviation` are float32 (dim,), for "standardize" only."""

    kind: Normalisation
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None

    @classmethod
    def fit(cls, kind: Normalisation, features: np.ndarray) -> Normaliser:
        """From the training images' features, float32 (N, dim). A constant dimension is only centred."""
        if kind != "standardize":
            return cls(kind)
        deviation = features.std(axis=0, dtype=np.float64)
        deviation[deviation < _TINY] = 1
        return cls(
            kind, features.mean(axis=0, dtype=np.float64).astype(np.float32), deviation.astype(np.float32)
        )

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float32 (N, dim). A zero vector stays zero under "l2"."""
        features = np.ascontiguousarray(features, np.float32)
        if self.kind == "l2":
            return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), _TINY)
        if self.mean is not None:
            return (features - self.mean) / self.deviation
        return features

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs beside the kind."""
        if self.mean is None or self.deviation is None:
            return {}
        return {"mean": self.mean, "deviation": self.deviation}

    @classmethod
    def restore(cls, kind: Normalisation, arrays: Mapping[str, np.ndarray]) -> Normaliser:
        """The same again."""
        return cls(kind, arrays.get("mean"), arrays.get("deviation"))
