"""The head `knn`: the labels of the nearest training images, weighted by how near they are.

The weights are those of the k-NN classifier of DINO (Caron et al. 2021): exp(-distance^2 / (2 * temperature))
for features of length 1, which is exp(cosine / temperature) but for a factor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from penult_server.engine.heads.base import Grid, HeadKind, Point, Problem
from penult_server.engine.heads.parameters import HeadParameters
from penult_server.engine.heads.registry import head

NUMBERS = (1, 3, 5, 10, 20, 50, 100, 200)
_CHUNK = 1024


class KnnParameters(HeadParameters):
    """Of the head `knn`."""

    k: int | None = Field(
        None, ge=1, le=1000, description=f"Neighbours that vote. Not given: chosen from {NUMBERS}."
    )
    weights: Literal["similarity", "uniform"] = Field(
        "similarity", description="How much a neighbour's vote counts: the more the nearer, or all alike."
    )
    temperature: float = Field(
        0.07, gt=0, le=100, description="How fast votes fade with distance, for `similarity`."
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Voters:
    """Implements base.Scorer.

    Attributes:
        rows: float32 (N, dim), training rows.
        votes: float32 (N, classes), what each row votes for, with class weights.
        k: neighbours that vote.
        falloff: a vote counts exp(-falloff * squared distance).
        prior: float32 (classes,), share of each class among all votes.
        multi_label: scores are log odds of each label instead of log shares.
    """

    rows: np.ndarray
    votes: np.ndarray
    k: int
    falloff: float
    prior: np.ndarray
    multi_label: bool

    def scores(self, features: np.ndarray) -> np.ndarray:
        """See base.Scorer."""
        parts = [
            self.tally(*nearest(features[start : start + _CHUNK], self.rows, self.k))
            for start in range(0, len(features), _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.votes.shape[1]), np.float32)

    def tally(self, positions: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Scores from neighbours, nearest first: (N, at least k) positions in `rows`, squared distances."""
        positions, distances = positions[:, : self.k], distances[:, : self.k]
        # Relative to the nearest: what all share changes no share of the votes.
        weight = np.exp(-self.falloff * (distances - distances[:, :1]))
        share = np.einsum("nk,nkc->nc", weight, self.votes[positions])
        total = share.sum(axis=1, keepdims=True) if not self.multi_label else weight.sum(axis=1)[:, None]
        # One more vote, split like all training votes: no class is ever impossible.
        share = (share + self.prior) / (total + 1)
        odds = np.log(share / (1 - share)) if self.multi_label else np.log(share)
        return odds.astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """See base.Scorer."""
        return {"rows": self.rows, "votes": self.votes, "prior": self.prior}

    def config(self) -> dict[str, Any]:
        """See base.Scorer."""
        return {"k": self.k, "falloff": self.falloff, "multi_label": self.multi_label}

    def linear(self) -> None:
        """See base.Scorer."""
        return


def nearest(features: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the `count` nearest rows (or all) and their squared distances, nearest first.

    Of equally near ones the first comes first.
    """
    distances = np.square(rows).sum(axis=1) - 2 * (features @ rows.T)
    distances += np.square(features).sum(axis=1, keepdims=True)
    np.maximum(distances, 0, out=distances)
    if count < len(rows):
        few = np.sort(np.argpartition(distances, count - 1, axis=1)[:, :count], axis=1)
        distances = np.take_along_axis(distances, few, axis=1)
    else:
        few = np.broadcast_to(np.arange(len(rows)), distances.shape)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(few, order, axis=1), np.take_along_axis(distances, order, axis=1)


@head("knn")
class Knn(HeadKind):
    """Votes of the nearest rows; augmented views vote as rows of their own."""

    Parameters = KnnParameters

    def grid(self, parameters: Any, problem: Problem) -> Grid | Point:
        """`k`, unless it is given; not more than there are rows."""
        if parameters.k is not None:
            return {"k": float(parameters.k)}
        rows = problem.images * problem.views
        return Grid("k", tuple(float(k) for k in NUMBERS if k <= max(1, rows // 2)))

    def prepare(self, problem: Problem, parameters: Any) -> _Neighbours:
        """See base.HeadKind."""
        size = float(np.square(problem.features).sum(axis=1).mean())
        falloff = (
            0.0 if parameters.weights == "uniform" else 1 / (2 * parameters.temperature * max(size, 1e-12))
        )
        return _Neighbours(problem, falloff, parameters.k or max(NUMBERS))

    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Voters:
        """See base.HeadKind."""
        rows, votes, prior = arrays["rows"], arrays["votes"], arrays["prior"]
        if rows.ndim != 2 or votes.shape != (len(rows), len(prior)):
            raise ValueError("rows and votes do not fit together")
        return Voters(rows, votes, config["k"], config["falloff"], prior, config["multi_label"])


@dataclasses.dataclass(frozen=True, slots=True)
class _Neighbours:
    """Implements base.Solver. `most` neighbours are looked up at once for all k."""

    problem: Problem
    falloff: float
    most: int

    def subset(self, images: np.ndarray) -> _Subset:
        return _Subset(self, images)


class _Subset:
    """Implements base.Subset."""

    def __init__(self, neighbours: _Neighbours, images: np.ndarray) -> None:
        problem = neighbours.problem
        self.neighbours = neighbours
        self.rows = problem.features[problem.rows(images)]
        weights = problem.weights[images]
        votes = problem.membership()[images] * (weights if weights.ndim == 2 else weights[:, None])
        self.votes = np.repeat(votes, problem.views, axis=0).astype(np.float32)
        self._found: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def fit(self, point: Point, tolerance: float) -> _Fit:
        problem = self.neighbours.problem
        mean = self.votes.mean(axis=0, dtype=np.float64)
        prior = (mean if problem.multi_label else mean / mean.sum()) * 0.98 + 0.01 / problem.classes
        k = min(int(point["k"]), len(self.rows))
        return _Fit(self, Voters(
            self.rows, self.votes, k, self.neighbours.falloff, prior.astype(np.float32), problem.multi_label
        ))  # fmt: skip

    def neighbours_of(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the plain views of these images; looked up once."""
        if self._found is None or not np.array_equal(self._found[0], images):
            problem = self.neighbours.problem
            features = problem.features[images * problem.views]
            count = min(self.neighbours.most, len(self.rows))
            parts = [
                nearest(features[start : start + _CHUNK], self.rows, count)
                for start in range(0, len(features), _CHUNK)
            ]
            positions, distances = (np.concatenate(each) for each in zip(*parts, strict=True))
            self._found = (images, positions, distances)
        return self._found[1:]


@dataclasses.dataclass(frozen=True, slots=True)
class _Fit:
    """Implements base.Fit."""

    subset: _Subset
    voters: Voters

    def scores(self, images: np.ndarray) -> np.ndarray:
        positions, distances = self.subset.neighbours_of(images)
        parts = [
            self.voters.tally(positions[start : start + _CHUNK], distances[start : start + _CHUNK])
            for start in range(0, len(images), _CHUNK)
        ]
        return np.concatenate(parts)

    def scorer(self) -> Voters:
        return self.voters
