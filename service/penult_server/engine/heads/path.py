"""Linear models along a path of C: what logistic regression and the support vector machines share.

All subsets share the columns that were made of the features (a rotation, a kernel). A subset keeps its
solutions, and a fit starts from that of the nearest C.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch

from penult_server.engine.heads.base import SEARCH_TOLERANCE, Point, Problem, Scorer
from penult_server.engine.heads.basis import Basis
from penult_server.engine.heads.lbfgs import Objective, minimise
from penult_server.engine.heads.linear import LinearScorer
from penult_server.engine.heads.losses import Logistic, Loss, Softmax, SquaredHinge

LossName = Literal["softmax", "logistic", "squared_hinge"]
_MOST_IN_SEARCH, _MOST = 60, 1000
_FLOOR_IN_SEARCH = 0.01
_KEPT = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """What a linear model is fitted on: float32 (rows of the problem, columns).

    `penalised` (columns,) is 0 for a bias and 1 elsewhere; `scorer` makes of weights (classes, columns)
    what scores features.
    """

    z: torch.Tensor
    penalised: torch.Tensor
    scorer: Callable[[torch.Tensor], Scorer]


def centred(problem: Problem) -> Columns:
    """Principal axes of centred features, and a bias that is not penalised."""
    basis, z = Basis.of(torch.from_numpy(problem.features).to(problem.device), centre=True)

    def scorer(w: torch.Tensor) -> Scorer:
        weight, offset = basis.weight(w[:, :-1])
        return LinearScorer(weight, offset + w[:, -1].cpu().numpy())

    return with_bias(z, scorer)


def augmented(problem: Problem) -> Columns:
    """Principal axes of features with a column of ones, so that the bias is penalised as LIBLINEAR does."""
    x = torch.from_numpy(problem.features).to(problem.device)
    basis, z = Basis.of(torch.cat([x, torch.ones_like(x[:, :1])], dim=1), centre=False)

    def scorer(w: torch.Tensor) -> Scorer:
        weight, _ = basis.weight(w)
        return LinearScorer(np.ascontiguousarray(weight[:, :-1]), weight[:, -1].copy())

    return Columns(z, torch.ones_like(z[0]), scorer)


def with_bias(z: torch.Tensor, scorer: Callable[[torch.Tensor], Scorer]) -> Columns:
    """These columns and one of ones, which comes last and is not penalised."""
    z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    penalised = torch.ones_like(z[0])
    penalised[-1] = 0
    return Columns(z, penalised, scorer)


class Path:
    """Implements base.Solver. C is as in scikit-learn: C * sum of the losses + |w|^2 / 2 is minimised."""

    def __init__(self, problem: Problem, loss: LossName, columns: Callable[[Point], Columns]) -> None:
        """`columns` gives those for a point, the same object for points that differ in C only."""
        self._problem, self._loss, self._columns = problem, loss, columns
        self._parts: list[PathSubset] = []

    def subset(self, images: np.ndarray) -> PathSubset:
        """See base.Solver.

        That of all images may start from what its parts have found. No part does: it would know something
        of the images that it is to be measured on.
        """
        if len(images) == self._problem.images:
            return PathSubset(self._problem, self._loss, self._columns, images, self._parts)
        self._parts.append(PathSubset(self._problem, self._loss, self._columns, images))
        return self._parts[-1]


class PathSubset:
    """Implements base.Subset."""

    def __init__(
        self,
        problem: Problem,
        loss: LossName,
        columns: Callable[[Point], Columns],
        images: np.ndarray,
        parts: Sequence[PathSubset] = (),
    ) -> None:
        """As Path; `images` are fitted, from the mean of what `parts` have found where they have."""
        self._parts = parts
        self._problem, self._columns = problem, columns
        self._rows = torch.from_numpy(problem.rows(images)).to(problem.device)
        self._count = len(images)
        self._loss = _loss(loss, problem, images)
        # Solutions by what they belong to, the latest last.
        self._solved: dict[tuple[float, Columns], torch.Tensor] = {}

    def fit(self, point: Point, tolerance: float) -> PathFit:
        """See base.Subset."""
        columns, c = self._columns(point), point["C"]
        objective = Objective(columns.z[self._rows], self._loss, columns.penalised, 1 / (c * self._count))
        searching = tolerance >= SEARCH_TOLERANCE
        w = minimise(
            objective,
            self._nearest(columns, c),
            tolerance=tolerance,
            most=_MOST_IN_SEARCH if searching else _MOST,
            floor=_FLOOR_IN_SEARCH if searching else 0.0,
        )
        self._solved[c, columns] = w
        if len(self._solved) > _KEPT:
            del self._solved[next(iter(self._solved))]
        return PathFit(self._problem, columns, w)

    def _nearest(self, columns: Columns, c: float) -> torch.Tensor:
        """The solution to start from: the mean of the parts' at this C, else of the nearest C, else 0."""
        of_parts = [part._solved[c, columns] for part in self._parts if (c, columns) in part._solved]
        if of_parts:
            return torch.stack(of_parts).mean(dim=0)
        known = [(abs(math.log(c / other)), w) for (other, of), w in self._solved.items() if of is columns]
        if known:
            return min(known, key=lambda pair: pair[0])[1]
        return torch.zeros(self._problem.classes, columns.z.shape[1], device=columns.z.device)


@dataclasses.dataclass(frozen=True, slots=True)
class PathFit:
    """Implements base.Fit. `w` is (classes, columns)."""

    problem: Problem
    columns: Columns
    w: torch.Tensor

    def scores(self, images: np.ndarray) -> np.ndarray:
        """See base.Fit."""
        plain = torch.from_numpy(images * self.problem.views).to(self.columns.z.device)
        scores: np.ndarray = (self.columns.z[plain] @ self.w.T).cpu().numpy()
        return scores

    def scorer(self) -> Scorer:
        """See base.Fit."""
        return self.columns.scorer(self.w)


def _loss(name: LossName, problem: Problem, images: np.ndarray) -> Loss:
    """The loss of every view of these images, divided by their number."""

    def each(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.repeat(values, problem.views, axis=0)).to(problem.device)

    weights = problem.weights[images] / np.float32(len(images) * problem.views)
    if name == "softmax":
        return Softmax(each(problem.targets[images]), each(weights))
    member = each(problem.membership()[images])
    if weights.ndim == 1:
        weights = np.broadcast_to(weights[:, None], (len(images), problem.classes)).copy()
    if name == "logistic":
        return Logistic(member, each(weights))
    return SquaredHinge(member.float() * 2 - 1, each(weights))
