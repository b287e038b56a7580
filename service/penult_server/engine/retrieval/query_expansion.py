"""`alpha_query_expansion`: asks again with the mean of the query and what it found, near ones counting more.

Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019 (2018).
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from penult_server.engine.retrieval.base import Neighbours, Parameters, Step, register, weighted_mean


class QueryExpansionParameters(Parameters):
    """How many hits join the query, and the power of their cosine that weighs them."""

    neighbours: int = Field(3, ge=1, le=100)
    alpha: float = Field(3.0, ge=0, le=100)


@register
class QueryExpansion(Step):
    """Costs one more search."""

    name = "alpha_query_expansion"
    parameters = QueryExpansionParameters

    def expand(self, queries: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """See Step."""
        found, scores = neighbours(queries, self.chosen.neighbours)
        return weighted_mean(queries, found, scores, self.chosen.alpha)
