"""Evidence: its intervals, and its way through JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.evidence import (
    CalibrationBin,
    ClassScore,
    CurvePoint,
    Evaluation,
    Evidence,
    LearningPoint,
    Mistake,
    from_json,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval(successes: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(successes, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_in_bounds(case: tuple[int, int]) -> None:
    low, high = wilson_interval(*case)
    assert 0 <= low <= case[0] / case[1] + 1e-12
    assert case[0] / case[1] - 1e-12 <= high <= 1


def test_nothing_measured_is_anything() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


EVALUATION = Evaluation(
    "test", 3, 1, False, ("a", "b"), 2 / 3, 0.2, 0.9, 1.0, 0.75, 0.6, 0.6, None, 0.5, 0.1,
    (CalibrationBin(0.0, 0.5, 0, 0.0, 0.0),),
    (ClassScore("a", 1.0, 0.5, 0.6, 2), ClassScore("b", 0.5, 1.0, 0.6, 1, 0.3)),
    ((0, 0, 1), (0, 1, 1), (1, 1, 1)), None, None, None, (Mistake("x", ("a",), ("b",), 0.8),),
)  # fmt: skip
EVIDENCE = Evidence(
    EVALUATION, "test", "how", 10, 2, {"C": 0.1}, "accuracy",
    (CurvePoint({"C": 0.1}, 0.5, 0.1, 5, False), CurvePoint({"C": 1e5}, None, None, 0, True)),
    (LearningPoint(5, 0.5, 0.1, 0.9),), {"fit": 1.5}, ("few",),
)  # fmt: skip


def test_json_gives_the_same_evidence() -> None:
    assert from_json(Evidence, json.loads(json.dumps(dataclasses.asdict(EVIDENCE)))) == EVIDENCE


def test_whole_numbers_may_stand_for_real_ones() -> None:
    values = dataclasses.asdict(EVIDENCE)
    values["evaluation"]["accuracy"] = 1
    rebuilt = from_json(Evidence, values)
    assert isinstance(rebuilt.evaluation.accuracy, float)


@pytest.mark.parametrize(
    "change",
    [
        {"note": 3},
        {"evaluation": None},
        {"curve": 5},
        {"hyperparameters": []},
        {"train_count": 1.5},
        {"other": 1},
        {"learning_curve": [{"images": 5}]},
    ],
)
def test_what_is_no_evidence_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(Evidence, {**dataclasses.asdict(EVIDENCE), **change})


def test_confusion_matrix() -> None:
    assert EVALUATION.confusion_matrix().tolist() == [[1, 1], [0, 1]]
