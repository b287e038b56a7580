"""What a user would write: scikit-learn's cross-validated classifiers, over the same folds and the same grid.

Where all of it would take too long, a part is measured and scaled up, and the factor is part of the result.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC

from penult_server.engine.heads.folds import fold_of

GRID = np.logspace(-6, 5, 45)
FOLDS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """Seconds on the clock and of all cores, scaled up by `factor`; accuracy on the test split.

    `accuracy` is None where the choice of C was not measured to its end.
    """

    wall: float
    cpu: float
    factor: float
    accuracy: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """Which part is measured: so many points evenly over the grid; folds; classes of an SVM."""

    points: int = len(GRID)
    folds: int = FOLDS
    classes: int | None = None

    @property
    def grid(self) -> np.ndarray:
        """The points."""
        return GRID[np.linspace(0, len(GRID) - 1, self.points).round().astype(int)]

    @property
    def factor(self) -> float:
        """From the part to the whole, but for classes."""
        return len(GRID) / self.points * FOLDS / self.folds


def logistic_regression_cv(
    x: np.ndarray, y: np.ndarray, test: tuple[np.ndarray, np.ndarray], share: Share
) -> Measured:
    """LogisticRegressionCV with lbfgs, which starts each point from the last one; float32 as ours."""
    whole = share.factor == 1
    model = LogisticRegressionCV(
        Cs=share.grid,
        cv=list(_folds(y, share.folds)),
        scoring="accuracy",
        max_iter=100,
        refit=whole,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    wall, cpu = _timed(lambda: model.fit(x, y))
    accuracy = float(model.score(*test)) if whole else None
    return Measured(wall * share.factor, cpu * share.factor, share.factor, accuracy)


def linear_svc_grid(
    x: np.ndarray, y: np.ndarray, test: tuple[np.ndarray, np.ndarray], share: Share
) -> Measured:
    """GridSearchCV over LinearSVC; of `share.classes` only, where given, each against the rest."""
    if share.classes is None:
        search = GridSearchCV(
            LinearSVC(), {"C": share.grid}, cv=list(_folds(y, share.folds)), refit=share.factor == 1
        )
        wall, cpu = _timed(lambda: search.fit(x, y))
        accuracy = float(search.score(*test)) if share.factor == 1 else None
        return Measured(wall * share.factor, cpu * share.factor, share.factor, accuracy)

    def some() -> None:
        for train, held in _folds(y, share.folds):
            for c in share.grid:
                for label in range(share.classes or 0):
                    model = LinearSVC(C=c).fit(x[train], y[train] == label)
                    model.decision_function(x[held])

    wall, cpu = _timed(some)
    factor = share.factor * len(np.unique(y)) / share.classes
    return Measured(wall * factor, cpu * factor, factor, None)


def accuracy_at(
    kind: str, c: float, x: np.ndarray, y: np.ndarray, test: tuple[np.ndarray, np.ndarray]
) -> float:
    """Of scikit-learn's own classifier at this C: what its search would be worth if it chose the same."""
    model = LogisticRegression(C=c, max_iter=100) if kind == "logistic_regression" else LinearSVC(C=c)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(model.fit(x, y).score(*test))


def _folds(y: np.ndarray, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    fold = fold_of(y, FOLDS, 0)
    for number in range(count):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs ends after its usual 100 steps at many points
        work()
    return time.perf_counter() - wall, time.process_time() - cpu
