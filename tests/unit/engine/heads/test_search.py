"""The search: which points it tries, which it spares, and that it finds the best."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from penult_server.engine.heads.base import Grid, Point
from penult_server.engine.heads.folds import fold_of
from penult_server.engine.heads.grid import c_grid
from penult_server.engine.heads.parameters import SearchedParameters
from penult_server.engine.heads.search import Found, Search, gain
from tests.head_data import Silent

IMAGES, CLASSES = 1000, 4
TARGETS = np.arange(IMAGES) % CLASSES


@dataclasses.dataclass
class Peak:
    """A solver whose accuracy falls with the distance of log10(C) from `best`; it counts its fits."""

    best: float
    width: float = 3.0
    fits: list[Point] = dataclasses.field(default_factory=list)
    point: Point = dataclasses.field(default_factory=dict)

    def subset(self, images: np.ndarray) -> Peak:
        return self

    def fit(self, point: Point, tolerance: float) -> Peak:
        self.fits.append(point)
        return dataclasses.replace(self, point=point)

    def scores(self, images: np.ndarray) -> np.ndarray:
        distance = abs(np.log10(self.point["C"]) - self.best) + self.point.get("far", 0.0)
        right = (images * 7919 % IMAGES) / IMAGES < 0.9 - distance / self.width * 0.5
        return np.eye(CLASSES, dtype=np.float32)[np.where(right, TARGETS[images], (TARGETS[images] + 1) % 4)]

    def scorer(self) -> None:
        raise NotImplementedError


def run(peak: Peak, grid: Grid | Point, how: str = "coarse_to_fine") -> Found:
    fold = fold_of(TARGETS, 5, 0)
    return Search(peak, TARGETS, CLASSES, fold, Silent()).run(grid, how)  # type: ignore[arg-type]


GRID = c_grid(SearchedParameters.model_validate({}))


def test_the_grid_is_that_of_clip_and_dinov2() -> None:
    assert isinstance(GRID, Grid)
    np.testing.assert_allclose(GRID.values, np.logspace(-6, 5, 45))


@pytest.mark.parametrize("best", [-6.0, -3.4, 0.0, 1.3, 5.0])
def test_coarse_to_fine_finds_what_the_whole_grid_finds(best: float) -> None:
    assert isinstance(GRID, Grid)
    fine, whole = Peak(best), Peak(best)
    found, expected = run(fine, GRID), run(whole, GRID, "grid")
    assert found.point == expected.point
    assert len(found.curve) <= 13
    assert len(fine.fits) <= 5 * len(found.curve)
    assert len(whole.fits) < 5 * 45
    right = found.scores.argmax(axis=1) == TARGETS
    best_point = max(found.curve, key=lambda point: point.score or 0)
    assert best_point.score == pytest.approx(right.mean())
    assert (best_point.folds, best_point.dropped) == (5, False)


def test_hopeless_points_are_dropped_and_said_so() -> None:
    found = run(Peak(-4.0), GRID)
    worst = next(point for point in found.curve if point.parameters["C"] == pytest.approx(1e5))
    assert worst.dropped
    assert (worst.folds, worst.score) == (0, None)
    assert all(point.folds < 5 for point in found.curve if point.dropped)


def test_of_equal_points_the_most_regularised_wins() -> None:
    class Flat(Peak):
        def scores(self, images: np.ndarray) -> np.ndarray:
            return np.eye(CLASSES, dtype=np.float32)[TARGETS[images]]

        def fit(self, point: Point, tolerance: float) -> Peak:
            return self

    assert run(Flat(0), GRID).point == {"C": pytest.approx(1e-6)}


def test_other_axes_are_searched_too() -> None:
    others: tuple[Point, ...] = ({"far": 2.0}, {"far": 0.0}, {"far": 1.0})
    found = run(Peak(1.0), c_grid(SearchedParameters.model_validate({}), others))
    assert found.point == {"far": 0.0, "C": pytest.approx(10.0)}


def test_random_search_stays_in_bounds_and_repeats() -> None:
    parameters = SearchedParameters.model_validate(
        {"search": "random", "points": 20, "C_min": 0.01, "C_max": 10}
    )
    grid = c_grid(parameters)
    assert grid == c_grid(parameters)
    assert isinstance(grid, Grid)
    assert len(grid.values) == 20
    assert min(grid.values) >= 0.01
    assert max(grid.values) <= 10
    assert len(run(Peak(0.0), grid, "random").curve) == 20


def test_a_given_c_is_not_searched() -> None:
    assert c_grid(SearchedParameters.model_validate({"C": 3.0})) == {"C": 3.0}
    peak = Peak(0.0)
    found = run(peak, {"C": 3.0})
    assert (found.point, found.curve, len(peak.fits)) == ({"C": 3.0}, (), 5)


def test_gain_of_several_labels_is_label_ranking_average_precision() -> None:
    from sklearn.metrics import label_ranking_average_precision_score

    rng = np.random.default_rng(0)
    targets, scores = rng.random((60, 6)) < 0.4, rng.integers(0, 9, (60, 6)).astype(np.float32)
    targets[0], targets[1] = True, False
    assert gain(scores, targets).mean() == pytest.approx(
        label_ranking_average_precision_score(targets, scores)
    )
