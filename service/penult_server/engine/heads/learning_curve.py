"""Accuracy against the number of training images: the head again with a tenth, a quarter and half of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from penult_server.core.evidence import LearningPoint, wilson_interval
from penult_server.engine.heads.base import SEARCH_TOLERANCE, Fit, Point, Problem, Solver
from penult_server.engine.heads.calibrate import Calibration
from penult_server.engine.heads.folds import nested_subsets

SHARES = (0.1, 0.25, 0.5)


def learning_curve(
    solver: Solver,
    problem: Problem,
    images: np.ndarray,
    point: Point,
    calibration: Calibration,
    scores_of: Callable[[Fit], np.ndarray],
    targets: np.ndarray,
) -> tuple[LearningPoint, ...]:
    """Fits nested, stratified parts of `images` at the point of the head.

    Args:
        solver: of the head.
        problem: of the head.
        images: of the problem, all that may be trained on.
        point: hyperparameters.
        calibration: of the head; decides which labels a multi-label head gives.
        scores_of: gives a fit's scores of the images to measure on, which are not among `images`.
        targets: of the images to measure on.

    Returns:
        One point a share; parts with fewer images than classes are left out.
    """
    sizes = sorted({int(share * len(images)) for share in SHARES})
    points = []
    for part in nested_subsets(problem.targets[images], sizes, problem.seed):
        if len(part) >= problem.classes:
            fit = solver.subset(images[part]).fit(point, SEARCH_TOLERANCE)
            right = int(_right(calibration(scores_of(fit)), targets).sum())
            points.append(
                LearningPoint(len(part), right / len(targets), *wilson_interval(right, len(targets)))
            )
    return tuple(points)


def _right(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Bool (N,), as Evaluation.accuracy counts."""
    if targets.ndim == 2:
        return ((probabilities >= 0.5) == targets).all(axis=1)
    return np.equal(probabilities.argmax(axis=1), targets)
