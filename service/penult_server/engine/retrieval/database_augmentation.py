"""`database_augmentation`: replaces each vector of the collection by the mean of it and its neighbours.

Arandjelović & Zisserman (CVPR 2012), weighted as in Gordo, Almazán, Revaud & Larlus (IJCV 2017).
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from penult_server.engine.retrieval.base import Neighbours, Parameters, Step, register, weighted_mean


class DatabaseAugmentationParameters(Parameters):
    """How many neighbours join a vector, and the power of their cosine that weighs them."""

    neighbours: int = Field(3, ge=1, le=100)
    alpha: float = Field(3.0, ge=0, le=100)


@register
class DatabaseAugmentation(Step):
    """Done by `optimize`; a vector that is added later stays as it is until the next one."""

    name = "database_augmentation"
    parameters = DatabaseAugmentationParameters
    augments = True

    def augment(self, vectors: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """See Step. The nearest neighbour of a vector of the collection is itself."""
        found, scores = neighbours(vectors, self.chosen.neighbours + 1)
        return weighted_mean(np.zeros_like(vectors), found, scores, self.chosen.alpha)
