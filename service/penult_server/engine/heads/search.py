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
_FADING = 1
_KEPT_BYTES = 16 << 20
"""Larger scores are computed again for the chosen point instead of being kept for every point under test."""


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
        self._keeps = 4 * len(targets) * classes < _KEPT_BYTES

    def run(self, grid: Grid | Point, how: str) -> Found:
        """The best point: highest mean over all images, of equal ones that of stronger regularisation."""
        if not isinstance(grid, Grid):
            self._race([[self._trial(grid)]])
        elif how == "coarse_to_fine" and not grid.random:
            self._coarse_to_fine(grid)
        else:
            self._race(
                [[self._trial(grid.point(o, n)) for n in range(len(grid.values))] for o in grid.others]
            )
        best = self._best()
        if best.scores is None:
            best.scores = self._scores_again(best.point)
        curve = tuple(self._curve_point(trial) for trial in self._trials) if isinstance(grid, Grid) else ()
        return Found(best.point, best.scores, curve)

    def _coarse_to_fine(self, grid: Grid) -> None:
        last = len(grid.values) - 1
        coarse = sorted({*range(0, last, COARSE_STEP), last})
        self._race([[self._trial(grid.point(other, n)) for n in coarse] for other in grid.others])
        step = COARSE_STEP // 2
        while step:
            best = self._best().point
            middle = grid.values.index(best[grid.name])
            other = {name: value for name, value in best.items() if name != grid.name}
            near = [grid.point(other, n) for n in (middle - step, middle + step) if 0 <= n <= last]
            tried = [trial.point for trial in self._trials]
            self._race([[self._trial(point) for point in near if point not in tried]])
            step //= 2

    def _trial(self, point: Point) -> _Trial:
        trial = _Trial(point, np.full(len(self._targets), np.nan), [], None)
        self._trials.append(trial)
        return trial

    def _race(self, paths: Sequence[Sequence[_Trial]]) -> None:
        """Runs every trial through the folds, fold by fold, as long as it has a chance.

        Each path comes from strong to weak regularisation.
        """
        for number in range(len(self._held)):
            for path in paths:
                fading = 0
                for trial in path:
                    # The weak end, where fits take longest, is left once a point is hopeless.
                    trial.dropped = trial.dropped or (number == 0 and fading == _FADING)
                    if not trial.dropped:
                        self._measure(trial, number)
                        fading = fading + 1 if self._behind(trial, _best(path)) else 0
            best = self._best()
            for trial in (trial for path in paths for trial in path):
                if number + 1 < len(self._held) and self._behind(trial, best):
                    trial.dropped, trial.scores = True, None
        best = self._best()
        self._report.metrics({"cv_score": best.mean, **best.point}, step=self._fits)
        for trial in self._trials:
            trial.scores = trial.scores if trial is best else None

    def _measure(self, trial: _Trial, number: int) -> None:
        held = self._held[number]
        scores = self._subsets[number].fit(trial.point, SEARCH_TOLERANCE).scores(held)
        self._fits += 1
        trial.gains[held] = gain(scores, self._targets[held])
        trial.folds.append(float(trial.gains[held].mean()))
        if self._keeps:
            if trial.scores is None:
                trial.scores = np.zeros((len(self._targets), self._classes), np.float32)
            trial.scores[held] = scores
        self._report.progress(self._fits, unit="fits", phase="search")

    def _scores_again(self, point: Point) -> np.ndarray:
        scores = np.zeros((len(self._targets), self._classes), np.float32)
        for held, subset in zip(self._held, self._subsets, strict=True):
            scores[held] = subset.fit(point, SEARCH_TOLERANCE).scores(held)
        return scores

    def _best(self) -> _Trial:
        return _best(self._trials)

    @staticmethod
    def _behind(trial: _Trial, best: _Trial) -> bool:
        """Whether a paired test on the images that both have measured puts it behind."""
        if trial is best or not trial.folds:
            return False
        lead = best.gains - trial.gains
        lead = lead[~np.isnan(lead)]
        least = 1 / len(lead)  # where all images agree there is no spread to go by
        return bool(lead.mean() > _SIGMAS * max(float(lead.std()), least) / np.sqrt(len(lead)))

    @staticmethod
    def _curve_point(trial: _Trial) -> CurvePoint:
        if not trial.folds:
            return CurvePoint(dict(trial.point), None, None, 0, trial.dropped)
        return CurvePoint(
            dict(trial.point), trial.mean, float(np.std(trial.folds)), len(trial.folds), trial.dropped
        )


def _best(trials: Sequence[_Trial]) -> _Trial:
    """Of those in the race the highest mean, of equal ones the first, which is the most regularised."""
    return min(
        (trial for trial in trials if not trial.dropped and trial.folds),
        key=lambda trial: (-trial.mean, *trial.point.values()),
    )


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
