"""How good a ranking is, by labels of the items."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Ranking:
    """Means over the queries that have anything to find.

    `precision` is the share of the k hits that are relevant, `recall` the share of the relevant items
    that are among them, `top_1` the share of the queries whose first hit is relevant.
    `mean_average_precision` averages precision at each relevant hit over min(k, relevant items).
    """

    queries: int
    top_1: float
    precision: float
    recall: float
    mean_average_precision: float


def rank_quality(relevant: np.ndarray, totals: Sequence[int] | np.ndarray) -> Ranking:
    """Measures rankings.

    Args:
        relevant: bool (Q, k), whether each hit, best first, is relevant; False where there is no hit.
        totals: relevant items in the collection for each query; queries with 0 are left out.
    """
    totals = np.asarray(totals)
    relevant, totals = relevant[totals > 0], totals[totals > 0]
    if not len(totals) or not relevant.shape[1]:
        return Ranking(0, *[float("nan")] * 4)
    k = relevant.shape[1]
    precisions = np.cumsum(relevant, axis=1) / np.arange(1, k + 1)
    average = (precisions * relevant).sum(axis=1) / np.minimum(k, totals)
    return Ranking(
        len(totals),
        float(relevant[:, 0].mean()),
        float(relevant.mean()),
        float((relevant.sum(axis=1) / totals).mean()),
        float(average.mean()),
    )
