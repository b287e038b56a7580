"""Chooses hyperparameters by cross-validation, and spares the fits that cannot change the choice.

Coarse to fine is the sweep of CLIP (Radford et al. 2021, appendix A.3): points far apart first, then
the gap is halved around the best. A point is dropped between two folds when a paired test says that it is
behind the best by more than chance explains, as in racing (Maron and Moore 1994); and the weakly
regularised end of a path, where fits take longest, is left once it is hopeless.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from penult_server.core.evidence import CurvePoint
from penult_server.engine.heads.base import SEARCH_TOLERANCE, Grid, Point, Solver, Subset

COARSE_STEP = 8
_SIGMAS = 3.0
"""Standard errors that a point must be behind to be dropped."""


class Report(Protocol):
    """Hears how training goes; engine.workers.task.Task is one."""

    def progress(self, done: int, total: int = 0, *, unit: str = "", phase: str = "") -> None:
        """Says how far it is."""
        ...

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Reports measured values."""
        ...

    def log(self, text: str) -> None:
        """Adds a line for people."""
        ...


@dataclasses.dataclass(slots=True)
class _Trial:
    """A point under test. `gains` holds what each image scored, NaN where its fold was not measured."""

    point: Point
    gains: np.ndarray
    folds: list[float]
    scores: np.ndarray | None
    dropped: bool = False

    @property
    def mean(self) -> float:
        """Over the images measured so far."""
        return float(np.nanmean(self.gains)) if self.folds else -np.inf


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """The chosen point and what was tried.

    `scores`: float32 (images, classes), of every image by the fit that did not see it.
    """

    point: Point
    scores: np.ndarray
    curve: tuple[CurvePoint, ...]


class Search:
    """Cross-validation of one prepared problem."""

    def __init__(
        self, solver: Solver, targets: np.ndarray, classes: int, fold: np.ndarray, report: Report
    ) -> None:
        """`fold` (images,): which fold holds each image out; `targets` as in Problem."""
        self._targets = targets
        self._classes = classes
        self._report = report
        self._held = [np.flatnonzero(fold == number) for number in range(int(fold.max()) + 1)]
        self._subsets: list[Subset] = [
            solver.subset(np.flatnonzero(fold != number)) for number in range(len(self._held))
        ]
        self._trials: list[_Trial] = []
        self._fits = 0

    def run(self, grid: Grid | Point, how: str) -> Found:
        """The best point: highest mean over all images, of equal ones that of stronger regularisation."""
        if not isinstance(grid, Grid):
            best = self._trial(grid)
            self._race([best])
        elif how == "coarse_to_fine" and not grid.random:
            best = self._coarse_to_fine(grid)
        else:
            self._race([self._trial(grid.point(o, n)) for o in grid.others for n in range(len(grid.values))])
            best = self._best()
        assert best.scores is not None
        curve = tuple(self._curve_point(trial) for trial in self._trials) if isinstance(grid, Grid) else ()
        return Found(best.point, best.scores, curve)

    def _coarse_to_fine(self, grid: Grid) -> _Trial:
        last = len(grid.values) - 1
        coarse = sorted({*range(0, last, COARSE_STEP), last})
        self._race([self._trial(grid.point(other, n)) for other in grid.others for n in coarse])
        step = COARSE_STEP // 2
        while step:
            best = self._best().point
            middle = grid.values.index(best[grid.name])
            other = {name: value for name, value in best.items() if name != grid.name}
            near = [grid.point(other, n) for n in (middle - step, middle + step) if 0 <= n <= last]
            tried = [trial.point for trial in self._trials]
            self._race([self._trial(point) for point in near if point not in tried])
            step //= 2
        return self._best()

    def _trial(self, point: Point) -> _Trial:
        images = len(self._targets)
        trial = _Trial(point, np.full(images, np.nan), [], np.zeros((images, self._classes), np.float32))
        self._trials.append(trial)
        return trial

    def _race(self, trials: Sequence[_Trial]) -> None:
        """Runs every trial through the folds, fold by fold, as long as it has a chance."""
        for number, (held, subset) in enumerate(zip(self._held, self._subsets, strict=True)):
            for trial in trials:
                if trial.dropped:
                    continue
                fit = subset.fit(trial.point, SEARCH_TOLERANCE)
                self._fits += 1
                scores = fit.scores(held)
                assert trial.scores is not None
                trial.scores[held] = scores
                trial.gains[held] = gain(scores, self._targets[held])
                trial.folds.append(float(trial.gains[held].mean()))
                self._report.progress(self._fits, unit="fits", phase="search")
            self._drop(trials, number)
        best = self._best()
        self._report.metrics({"cv_score": best.mean, **best.point}, step=self._fits)

    def _drop(self, trials: Sequence[_Trial], fold: int) -> None:
        best = self._best()
        for trial in trials:
            if trial is best or trial.dropped:
                continue
            lead = best.gains - trial.gains
            lead = lead[~np.isnan(lead)]
            if len(lead) > 1 and lead.mean() > _SIGMAS * max(lead.std(), 1 / len(lead)) / np.sqrt(len(lead)):
                trial.dropped = fold + 1 < len(self._held)
                trial.scores = None if trial.dropped else trial.scores

    def _best(self) -> _Trial:
        # max takes the first of equals; trials come from strong to weak regularisation.
        ranked = sorted(
            (trial for trial in self._trials if not trial.dropped and trial.folds),
            key=lambda trial: (-trial.mean, *trial.point.values()),
        )
        return ranked[0]

    def _curve_point(self, trial: _Trial) -> CurvePoint:
        deviation = float(np.std(trial.folds)) if trial.folds else 0.0
        return CurvePoint(dict(trial.point), trial.mean, deviation, len(trial.folds), trial.dropped)


def gain(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What each image adds to the score: 1 where right; multi-label: its label ranking average precision.

    The latter is the mean, over the image's labels, of the share of labels among those ranked as high.
    """
    if targets.ndim == 1:
        return (scores.argmax(axis=1) == targets).astype(np.float64)
    result = np.ones(len(targets))
    for n, row in enumerate(targets):
        own = scores[n][row]
        if 0 < len(own) < len(row):
            rank = (scores[n][None, :] >= own[:, None]).sum(axis=1)
            among = (own[None, :] >= own[:, None]).sum(axis=1)
            result[n] = (among / rank).mean()
    return result
