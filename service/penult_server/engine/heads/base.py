"""The contract of a kind of head: what it can choose from, how it is fitted, and what a fit gives.

A kind prepares the training images once (a rotation, a kernel matrix, distances) and then fits many
subsets of them at many points: the folds of cross-validation, the learning curve, the final head.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from penult_server.engine.heads.parameters import HeadParameters

Point = Mapping[str, float]
"""Hyperparameters by name, such as {"C": 0.1}; empty where a head has none."""

SEARCH_TOLERANCE = 1e-3
FINAL_TOLERANCE = 2e-6
"""How far from its optimum an iterative fit may stop; see linear_solver.py."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """The training images, normalised.

    Attributes:
        features: float32 (images * views, dim): the views of an image next to each other, plain first.
        views: views of each image.
        targets: int64 (images,) positions of classes; multi-label: bool (images, classes).
        classes: number of classes; all occur.
        weights: float32 (images,), of mean 1, or multi-label (images, classes).
        seed: for whatever is random.
        device: "cpu" or "cuda".
    """

    features: np.ndarray
    views: int
    targets: np.ndarray
    classes: int
    weights: np.ndarray
    seed: int = 0
    device: str = "cpu"

    @property
    def images(self) -> int:
        """How many."""
        return len(self.targets)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels."""
        return self.targets.ndim == 2

    def rows(self, images: np.ndarray) -> np.ndarray:
        """Positions in `features` of every view of these images, image by image."""
        return (images[:, None] * self.views + np.arange(self.views)).ravel()

    def membership(self) -> np.ndarray:
        """Bool (images, classes), for one against the rest."""
        if self.multi_label:
            return self.targets
        return np.equal(self.targets[:, None], np.arange(self.classes))


class Scorer(Protocol):
    """A fitted function from normalised features to scores of the classes; the larger, the likelier."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        """float32 (N, classes) of float32 (N, dim)."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """All its numbers."""
        ...

    def config(self) -> dict[str, Any]:
        """All else, as JSON."""
        ...

    def linear(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(classes, dim) weight and (classes,) bias, float32, where scores are `x @ weight.T + bias`."""
        ...


class Fit(Protocol):
    """A subset fitted at one point."""

    def scores(self, images: np.ndarray) -> np.ndarray:
        """float32 (N, classes) of the plain views of these images of the problem."""
        ...

    def scorer(self) -> Scorer:
        """What scores other features."""
        ...


class Subset(Protocol):
    """Some of the prepared images. Points are best fitted from strong to weak regularisation."""

    def fit(self, point: Point, tolerance: float) -> Fit:
        """Fits them; an iterative solver starts from this subset's last fit."""
        ...


class Solver(Protocol):
    """A prepared problem."""

    def subset(self, images: np.ndarray) -> Subset:
        """These images of the problem, with all their views."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """What may be chosen: every combination of `others` with every value of the axis `name`, rising.

    `random`: the values are drawn at random, so that there is no coarse to fine.
    """

    name: str
    values: tuple[float, ...]
    others: tuple[Point, ...] = ({},)
    random: bool = False

    def point(self, other: Point, position: int) -> dict[str, float]:
        """A combination."""
        return {**other, self.name: self.values[position]}


class HeadKind(abc.ABC):
    """A kind of head. Registered by `@head(name)`; has no state."""

    Parameters: ClassVar[type[HeadParameters]] = HeadParameters
    calibrated: ClassVar[bool] = True
    """Its scores become probabilities by a calibration on images held out; else by softmax or sigmoid."""

    @abc.abstractmethod
    def grid(self, parameters: Any, problem: Problem) -> Grid | Point:
        """What to choose from, or the point that is fixed."""

    @abc.abstractmethod
    def prepare(self, problem: Problem, parameters: Any) -> Solver:
        """Does once what all fits share."""

    @abc.abstractmethod
    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Scorer:
        """A scorer from what its `config` and `arrays` gave. Raises KeyError or ValueError for damage."""
