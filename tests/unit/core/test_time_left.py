from __future__ import annotations

import pytest

from penult_server.core.jobs import Progress
from penult_server.core.time_left import TimeLeft


def test_speed_is_that_of_this_run_and_this_phase() -> None:
    now = 100.0
    clock = TimeLeft(lambda: now)
    assert clock.add(Progress(50, 100, "images", "a")).seconds_left is None  # an earlier run did those
    now += 10
    assert clock.add(Progress(60, 100, "images", "a")).seconds_left == pytest.approx(40)
    now += 10
    assert clock.add(Progress(80, 100, "images", "a")).seconds_left == pytest.approx(20 * 20 / 30)
    assert clock.add(Progress(100, 100, "images", "a")).seconds_left == 0
    assert clock.add(Progress(0, 10, "epochs", "b")).seconds_left is None
    now += 1
    assert clock.add(Progress(1, 10, "epochs", "b")).seconds_left == pytest.approx(9)


def test_without_a_total_there_is_no_estimate() -> None:
    now = 0.0
    clock = TimeLeft(lambda: now)
    clock.add(Progress(0))
    now += 1
    assert clock.add(Progress(5)).seconds_left is None
