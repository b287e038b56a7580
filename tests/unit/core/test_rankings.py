from __future__ import annotations

import math

import numpy as np
import pytest

from penult_server.core.rankings import rank_quality


def test_a_worked_example() -> None:
    relevant = np.array([[True, False, True], [False, True, False]])
    found = rank_quality(relevant, [2, 4])
    assert found.queries == 2
    assert found.top_1 == 0.5
    assert found.precision == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert found.recall == pytest.approx((1 + 1 / 4) / 2)
    assert found.mean_average_precision == pytest.approx(((1 + 2 / 3) / 2 + (1 / 2) / 3) / 2)


def test_average_precision_is_that_of_scikit_learn_where_everything_is_ranked() -> None:
    from sklearn.metrics import average_precision_score

    relevant = np.random.default_rng(1).random((30, 40)) < 0.2
    relevant[:, 0] |= ~relevant.any(axis=1)
    expected = [average_precision_score(row, -np.arange(40)) for row in relevant]
    found = rank_quality(relevant, relevant.sum(axis=1))
    assert found.mean_average_precision == pytest.approx(np.mean(expected))


def test_queries_with_nothing_to_find_do_not_count() -> None:
    relevant = np.array([[True], [False]])
    assert rank_quality(relevant, [1, 0]).top_1 == 1
    nothing = rank_quality(relevant, [0, 0])
    assert nothing.queries == 0
    assert math.isnan(nothing.precision)
