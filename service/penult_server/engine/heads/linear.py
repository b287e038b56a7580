"""The scorer that most heads share: one weight vector and one bias a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class LinearScorer:
    """Implements base.Scorer. `weight` is float32 (classes, dim), `bias` float32 (classes,)."""

    weight: np.ndarray
    bias: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """See base.Scorer."""
        return features @ self.weight.T + self.bias

    def arrays(self) -> dict[str, np.ndarray]:
        """See base.Scorer."""
        return {"weight": self.weight, "bias": self.bias}

    def config(self) -> dict[str, Any]:
        """See base.Scorer."""
        return {}

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """See base.Scorer."""
        return self.weight, self.bias

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LinearScorer:
        """See base.HeadKind."""
        weight, bias = arrays["weight"], arrays["bias"]
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(f"weight {weight.shape} and bias {bias.shape} do not fit together")
        return cls(weight, bias)
