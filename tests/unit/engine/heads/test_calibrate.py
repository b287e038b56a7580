"""Calibration: known distortions are undone, and nothing becomes infinite."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import _sigmoid_calibration

from penult_server.engine.heads.calibrate import Calibration
from penult_server.engine.heads.reject import reject_threshold


def drawn(factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose softmax is right once multiplied with `factor`."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((4000, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (p.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    return (logits / factor).astype(np.float32), targets


@pytest.mark.parametrize("factor", [1e-3, 0.2, 1.0, 30.0])
def test_temperature_is_found(factor: float) -> None:
    found = Calibration.fit(*drawn(factor))
    assert found.slope[0] == pytest.approx(factor, rel=0.08)


def test_platt_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((500, 3)) < 0.3
    scores = (3 * targets + 2 * rng.standard_normal((500, 3))).astype(np.float32)
    found = Calibration.fit(scores, targets)
    for n in range(3):
        a, b = _sigmoid_calibration(scores[:, n].astype(np.float64), targets[:, n].astype(np.float64))
        assert (found.slope[n], found.offset[n]) == pytest.approx((-a, -b), rel=1e-2, abs=1e-2)


def test_perfect_separation_stays_finite() -> None:
    targets = np.tile(np.arange(4), 10)
    found = Calibration.fit(np.eye(4, dtype=np.float32)[targets], targets)
    p = found(np.eye(4, dtype=np.float32))
    assert np.isfinite(found.slope).all()
    assert 0.9 < p[0, 0] < 1


def test_a_label_that_scores_do_not_tell_is_given_its_share() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((400, 2)) < [0.2, 0.5]
    p = Calibration.fit(rng.standard_normal((400, 2)).astype(np.float32), targets)(
        np.zeros((1, 2), np.float32)
    )
    assert p[0] == pytest.approx(targets.mean(axis=0), abs=0.02)


def test_extreme_scores_make_probabilities() -> None:
    scores = np.array([[1e30, -1e30, 0]], np.float32)
    for multi_label in (False, True):
        assert np.isfinite(Calibration.none(multi_label=multi_label)(scores)).all()


def test_reject_threshold_keeps_the_share_of_right_answers() -> None:
    rng = np.random.default_rng(0)
    sure = np.sort(rng.random(200) / 2 + 0.5)
    p = np.stack([sure, 1 - sure], axis=1)
    targets = np.zeros(200, np.int64)
    targets[:50] = 1  # the 50 least sure are wrong
    threshold = reject_threshold(p, targets, 0.9)
    assert threshold is not None
    assert (sure[50:] >= threshold).mean() == pytest.approx(0.9)
    assert reject_threshold(p, targets, 1.0) == pytest.approx(sure[50])
    assert reject_threshold(p, np.full(200, -1), 0.9) is None
    assert reject_threshold(p, np.ones(200, np.int64), 0.9) is None
