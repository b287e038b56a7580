"""The head `nearest_centroid`: the class whose mean feature is nearest. There is nothing to choose.

With features of length 1 this is the prototype classifier of few-shot learning (Snell et al. 2017).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from penult_server.engine.heads.base import HeadKind, Point, Problem
from penult_server.engine.heads.linear import LinearScorer
from penult_server.engine.heads.parameters import HeadParameters
from penult_server.engine.heads.registry import head


@dataclasses.dataclass(frozen=True, slots=True)
class _Centroids:
    """Implements base.Solver, base.Subset and base.Fit: there is nothing to prepare."""

    problem: Problem
    scorer_: LinearScorer | None = None

    def subset(self, images: np.ndarray) -> _Centroids:
        problem = self.problem
        x = problem.features.reshape(problem.images, problem.views, -1)[images].mean(axis=1, dtype=np.float64)
        member = problem.membership()[images].astype(np.float64)
        inside = _means(member, x)
        # -|x - c|^2 but for what all classes share; one against the rest: minus the same for the others.
        weight, bias = 2 * inside, -np.square(inside).sum(axis=1)
        if problem.multi_label:
            outside = _means(1 - member, x)
            weight, bias = weight - 2 * outside, bias + np.square(outside).sum(axis=1)
        scorer = LinearScorer(weight.astype(np.float32), bias.astype(np.float32))
        return dataclasses.replace(self, scorer_=scorer)

    def fit(self, point: Point, tolerance: float) -> _Centroids:
        return self

    def scores(self, images: np.ndarray) -> np.ndarray:
        return self.scorer().scores(self.problem.features[images * self.problem.views])

    def scorer(self) -> LinearScorer:
        assert self.scorer_ is not None, "subset comes first"
        return self.scorer_


@head("nearest_centroid")
class NearestCentroid(HeadKind):
    """Squared Euclidean distance to each class's mean; multi-label: less than to the mean of the others."""

    Parameters = HeadParameters

    def grid(self, parameters: Any, problem: Problem) -> Point:
        """Nothing to choose."""
        return {}

    def prepare(self, problem: Problem, parameters: Any) -> _Centroids:
        """See base.HeadKind."""
        return _Centroids(problem)

    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LinearScorer:
        """See base.HeadKind."""
        return LinearScorer.restore(config, arrays)


def _means(member: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Mean of the rows of each class; of all rows for a class without any."""
    counts = member.sum(axis=0)[:, None]
    return np.where(counts > 0, (member.T @ x) / np.maximum(counts, 1), x.mean(axis=0))
