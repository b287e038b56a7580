"""The head `ridge`: least squares on targets of +1 and -1, one class against the rest, solved exactly.

C is 1 / alpha of scikit-learn's RidgeClassifier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from penult_server.engine.heads.base import Grid, HeadKind, Point, Problem
from penult_server.engine.heads.grid import c_grid
from penult_server.engine.heads.linear import LinearScorer
from penult_server.engine.heads.parameters import SearchedParameters
from penult_server.engine.heads.registry import head

if TYPE_CHECKING:
    import torch

    from penult_server.engine.heads.basis import Basis


@head("ridge")
class Ridge(HeadKind):
    """Squared error of each class against the rest."""

    Parameters = SearchedParameters

    def grid(self, parameters: Any, problem: Problem) -> Grid | Point:
        """See base.HeadKind."""
        return c_grid(parameters)

    def prepare(self, problem: Problem, parameters: Any) -> _Ridge:
        """See base.HeadKind."""
        import torch

        from penult_server.engine.heads.basis import Basis

        basis, z = Basis.of(torch.from_numpy(problem.features).to(problem.device), centre=True)
        return _Ridge(problem, basis, z)

    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LinearScorer:
        """See base.HeadKind."""
        return LinearScorer.restore(config, arrays)


@dataclasses.dataclass(frozen=True, slots=True)
class _Ridge:
    """Implements base.Solver."""

    problem: Problem
    basis: Basis
    z: torch.Tensor

    def subset(self, images: np.ndarray) -> _Subset:
        return _Subset(self, images)


class _Subset:
    """Implements base.Subset: normal equations, made once for all C."""

    def __init__(self, ridge: _Ridge, images: np.ndarray) -> None:
        import torch

        self._ridge, problem = ridge, ridge.problem
        z = ridge.z[torch.from_numpy(problem.rows(images)).to(ridge.z.device)].double()

        def each(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.repeat(values, problem.views, axis=0)).to(z.device).double()

        y = each(problem.membership()[images]) * 2 - 1
        weights = each(problem.weights[images]) / problem.views
        # The same weights for all classes make one matrix for all of them.
        groups = [(weights, y)] if weights.ndim == 1 else list(zip(weights.T, y.T[:, :, None], strict=True))
        self._systems = [_normal(z, each_weights, each_y) for each_weights, each_y in groups]

    def fit(self, point: Point, tolerance: float) -> _Fit:
        import torch

        parts, biases = [], []
        for gram, right, middle, mean in self._systems:
            system = gram + torch.eye(len(gram), dtype=gram.dtype, device=gram.device) / point["C"]
            w = torch.cholesky_solve(right, torch.linalg.cholesky(system)).T
            parts.append(w)
            biases.append(mean - w @ middle)
        return _Fit(self._ridge, torch.cat(parts).float(), torch.cat(biases).float())


def _normal(z: torch.Tensor, weights: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of weighted rows (N, columns) and targets (N, classes): both centred, so that the bias drops out."""
    total = weights.sum()
    middle, mean = weights @ z / total, weights @ y / total
    heavy = z * weights[:, None]
    gram = heavy.T @ z - total * middle.outer(middle)
    return gram, heavy.T @ y - total * middle.outer(mean), middle, mean


@dataclasses.dataclass(frozen=True, slots=True)
class _Fit:
    """Implements base.Fit. `w` (classes, columns), `bias` (classes,)."""

    ridge: _Ridge
    w: torch.Tensor
    bias: torch.Tensor

    def scores(self, images: np.ndarray) -> np.ndarray:
        import torch

        plain = torch.from_numpy(images * self.ridge.problem.views).to(self.ridge.z.device)
        scores: np.ndarray = (self.ridge.z[plain] @ self.w.T + self.bias).cpu().numpy()
        return scores

    def scorer(self) -> LinearScorer:
        weight, offset = self.ridge.basis.weight(self.w)
        return LinearScorer(weight, offset + self.bias.cpu().numpy())
