"""The head `rbf_svm`: squared hinge in the space of a Gaussian kernel, one class against the rest.

With the kernel matrix of landmark images K = V diag(e) V^T, features become k(x, landmarks) V diag(e)^-1/2,
on which a linear SVM is fitted; by the representer theorem that is the kernel machine itself where every
training row is a landmark (Chapelle 2007, "Training a Support Vector Machine in the Primal"). Past
MAX_LANDMARKS rows the landmarks are a stratified sample, which is Nystroem's approximation (Williams and
Seeger 2001). Directions with next to no extent are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from penult_server.engine.heads.base import Grid, HeadKind, Point, Problem, Solver
from penult_server.engine.heads.folds import nested_subsets
from penult_server.engine.heads.grid import c_grid
from penult_server.engine.heads.parameters import SearchedParameters
from penult_server.engine.heads.registry import head

if TYPE_CHECKING:
    import torch

    from penult_server.engine.heads.path import Columns

MAX_LANDMARKS = 2048
WIDTHS = (0.25, 1.0, 4.0)
"""Values of gamma that are tried, as multiples of 1 / median squared distance."""
_LEAST = 1e-6
"""Share of the largest eigenvalue below which a direction is left out."""
_SAMPLE = 1000


class RbfSvmParameters(SearchedParameters):
    """Of the head `rbf_svm`."""

    gamma: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Of the kernel exp(-gamma * squared distance). Not given: chosen from 1/4, 1 and 4 times "
        "the inverse of the median squared distance between training images.",
    )
    C_min: float = Field(1e-3, gt=0, le=1e9, description="Least C that is tried.")
    points: int = Field(33, ge=2, le=1000, description="Points of the grid, or of random search.")


@dataclasses.dataclass(frozen=True, slots=True)
class KernelScorer:
    """Implements base.Scorer: kernel with `landmarks` (M, dim), then `weight` (classes, M) and `bias`."""

    landmarks: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    gamma: float

    def scores(self, features: np.ndarray) -> np.ndarray:
        """See base.Scorer."""
        return kernel(features, self.landmarks, self.gamma) @ self.weight.T + self.bias

    def arrays(self) -> dict[str, np.ndarray]:
        """See base.Scorer."""
        return {"landmarks": self.landmarks, "weight": self.weight, "bias": self.bias}

    def config(self) -> dict[str, Any]:
        """See base.Scorer."""
        return {"gamma": self.gamma}

    def linear(self) -> None:
        """See base.Scorer."""
        return


def kernel(a: np.ndarray, b: np.ndarray, gamma: float) -> np.ndarray:
    """float32 (len(a), len(b)) of exp(-gamma * squared distance)."""
    return np.exp(-np.float32(gamma) * squared_distances(a, b))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len(a), len(b)), of their dtype."""
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    squares -= 2 * (a @ b.T)
    return np.maximum(squares, 0, out=squares)


@head("rbf_svm")
class RbfSvm(HeadKind):
    """Squared hinge of each class against the rest, on Gaussian kernels."""

    Parameters = RbfSvmParameters

    def grid(self, parameters: Any, problem: Problem) -> Grid | Point:
        """C as for linear heads, gamma beside it."""
        if parameters.gamma is not None:
            return c_grid(parameters, ({"gamma": parameters.gamma},))
        rows = problem.features[:: max(1, len(problem.features) // _SAMPLE)]
        median = max(float(np.median(squared_distances(rows, rows)[~np.eye(len(rows), dtype=bool)])), 1e-12)
        return c_grid(parameters, tuple({"gamma": width / median} for width in WIDTHS))

    def prepare(self, problem: Problem, parameters: Any) -> Solver:
        """See base.HeadKind."""
        from penult_server.engine.heads.path import Path

        rows = np.arange(len(problem.features))
        if len(rows) > MAX_LANDMARKS:
            images = nested_subsets(problem.targets, [max(1, MAX_LANDMARKS // problem.views)], problem.seed)[
                0
            ]
            rows = problem.rows(images)
        landmarks = problem.features[rows]
        distances = squared_distances(problem.features.astype(np.float64), landmarks.astype(np.float64))
        kept: dict[float, Columns] = {}

        def columns(point: Point) -> Columns:
            gamma = point["gamma"]
            if gamma not in kept:
                kept[gamma] = _columns(problem.device, distances, rows, landmarks, gamma)
            return kept[gamma]

        return Path(problem, "squared_hinge", columns)

    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> KernelScorer:
        """See base.HeadKind."""
        landmarks, weight, bias = arrays["landmarks"], arrays["weight"], arrays["bias"]
        if landmarks.ndim != 2 or weight.shape != (len(bias), len(landmarks)):
            raise ValueError("landmarks, weight and bias do not fit together")
        return KernelScorer(landmarks, weight, bias, config["gamma"])


def _columns(
    device: str, distances: np.ndarray, rows: np.ndarray, landmarks: np.ndarray, gamma: float
) -> Columns:
    """Columns whose inner products are the kernel, in float64 until they are done.

    `distances` are squared, (all rows, landmarks), and `rows` says which of the rows are the landmarks.
    """
    import torch

    from penult_server.engine.heads.basis import eigh
    from penult_server.engine.heads.path import with_bias

    near = torch.from_numpy(distances).to(device).mul(-gamma).exp_()
    among = near[torch.from_numpy(rows).to(device)]
    values, vectors = eigh((among + among.T) / 2)
    kept = values > _LEAST * values[-1]
    axes = vectors[:, kept] / values[kept].sqrt()

    def scorer(w: torch.Tensor) -> KernelScorer:
        weight = (w[:, :-1].double() @ axes.T).float().cpu().numpy()
        return KernelScorer(landmarks, weight, w[:, -1].cpu().numpy().copy(), gamma)

    return with_bias((near @ axes).float(), scorer)
