from __future__ import annotations

import numpy as np
import pytest

from penult_server.engine.indexes.tune import MARGIN, share_found, tune


@pytest.mark.parametrize("needed", [1, 2, 3, 17, 100, 511, 512])
def test_it_finds_the_least_effort_within_a_tenth(needed: int) -> None:
    tried: list[int] = []

    def recall(effort: int) -> float:
        tried.append(effort)
        return 1.0 if effort >= needed else 0.5

    found = tune(recall, 1, 512, 0.98)
    assert found.recall == 1.0
    assert needed <= found.effort <= needed + max(1, needed // 10 + 1)
    assert len(tried) < 20


def test_what_cannot_be_reached_gets_the_most_effort_and_says_what_it_gives() -> None:
    found = tune(lambda effort: effort / 1000, 1, 300, 0.98)
    assert (found.effort, found.recall) == (300, 0.3)


def test_a_margin_stands_for_the_error_of_the_sample() -> None:
    assert tune(lambda effort: 0.98 if effort < 8 else 0.98 + MARGIN, 1, 64, 0.98).effort == 8


def test_equal_vectors_count_as_found() -> None:
    truth = np.array([[0.9, 0.5]])
    assert share_found(truth, np.array([[0.9, 0.5]])) == 1
    assert share_found(truth, np.array([[0.9, 0.4]])) == 0.5
