"""`pca_whiten`: decorrelates the values of a feature, so that what many pictures share counts less.

Jégou & Chum, "Negative evidences and co-occurrences in image retrieval", ECCV 2012.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.retrieval.base import Fitted, Parameters, Step, normalised, register


class PcaWhitenParameters(Parameters):
    """`components` 0 keeps all; `strength` 0 only centres, 1 whitens fully.

    `shrinkage` mixes the spread of all directions into each, which tames those that few vectors span.
    """

    components: int = Field(0, ge=0, le=65_536)
    strength: float = Field(0.5, ge=0, le=1)
    shrinkage: float = Field(0.3, ge=0, le=1)


@register
class PcaWhiten(Step):
    """Centres, rotates to the principal axes, and divides each by its spread."""

    name = "pca_whiten"
    parameters = PcaWhitenParameters
    fits = True

    def check(self, spec: IndexSpec, dim: int) -> None:
        """See Step."""
        if self.chosen.components > dim:
            raise ValueError(f"{self.chosen.components} components of {dim} values")

    def fit(self, vectors: np.ndarray) -> Fitted:
        """See Step."""
        mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - mean
        covariance = centred.T @ centred / max(1, len(vectors) - 1)
        spread, axes = np.linalg.eigh(covariance)
        keep = slice(None, -1 - (self.chosen.components or len(spread)), -1)
        spread, axes = np.maximum(spread[keep], 0), axes[:, keep]
        shrunk = (1 - self.chosen.shrinkage) * spread + self.chosen.shrinkage * spread.max()
        floor = 1e-6 * spread.max() or 1.0  # directions that nothing spreads in, and equal vectors
        scale = np.maximum(shrunk, floor) ** (-self.chosen.strength / 2)
        return {"mean": mean.astype(np.float32), "projection": (axes * scale).astype(np.float32)}

    def transform(self, vectors: np.ndarray, fitted: Fitted) -> np.ndarray:
        """See Step."""
        return normalised((vectors - fitted["mean"]) @ fitted["projection"])
