from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.errors import InvalidArgument
from penult_server.core.schedules import SCHEDULES, make_schedule

names = st.sampled_from(sorted(SCHEDULES))
totals = st.integers(1, 300)
warmups = st.floats(0, 0.9)


def test_the_schedules_of_the_guide_are_there() -> None:
    assert set(SCHEDULES) == {
        "constant", "step", "cosine", "linear", "inverse_sqrt", "one_cycle", "cyclic",
    }  # fmt: skip


@given(names, totals, warmups)
def test_a_factor_is_a_share_at_every_step(name: str, total: int, warmup: float) -> None:
    drawn = make_schedule(name, {}, warmup).draw(total)
    assert len(drawn) == total
    assert all(0 <= factor <= 1 for factor in drawn)


@given(names, st.integers(20, 300), st.floats(0.1, 0.5))
def test_warm_up_rises_in_equal_steps_from_above_zero(name: str, total: int, warmup: float) -> None:
    warm = round(warmup * total)
    drawn = make_schedule(name, {}, warmup).draw(total)[:warm]
    rises = [after - before for before, after in itertools.pairwise(drawn)]
    assert drawn[0] > 0
    assert all(math.isclose(rise, drawn[0], rel_tol=1e-6) for rise in rises)


@given(st.sampled_from(["step", "cosine", "linear", "inverse_sqrt"]), totals)
def test_what_decays_never_rises(name: str, total: int) -> None:
    drawn = make_schedule(name, {}, 0).draw(total)
    assert drawn[0] == 1
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(drawn))


def test_known_values() -> None:
    assert make_schedule("constant", {}, 0).draw(3) == [1, 1, 1]
    assert make_schedule("cosine", {}, 0).draw(3) == pytest.approx([1, 0.5, 0])
    assert make_schedule("linear", {"floor": 0.2}, 0).draw(5) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    assert make_schedule("step", {"milestones": [0.5], "drop": 0.1}, 0).draw(4) == pytest.approx(
        [1, 1, 0.1, 0.1]
    )
    one = make_schedule("one_cycle", {"rise": 0.5}, 0).draw(101)
    assert (one[0], one[50], one[100]) == pytest.approx((0.04, 1, 0.0001))


def test_inverse_square_root_is_the_published_curve() -> None:
    total, warm = 1000, 100
    drawn = make_schedule("inverse_sqrt", {"timescale": warm / (total - warm)}, warm / total).draw(total)
    published = [min(1 / math.sqrt(step), step / warm**1.5) * math.sqrt(warm) for step in range(1, total + 1)]
    assert drawn[warm:] == pytest.approx(published[warm - 1 : -1])


@given(st.integers(1, 6), st.integers(12, 200), st.floats(0, 0.3))
def test_a_cyclic_schedule_jumps_up_after_the_end_of_each_cycle(
    cycles: int, total: int, warmup: float
) -> None:
    schedule = make_schedule("cyclic", {"cycles": cycles}, warmup)
    drawn, ends = schedule.draw(total), schedule.cycle_ends(total)
    assert len(ends) <= cycles
    assert ends[-1] == total - 1
    for end in ends[:-1]:
        assert drawn[end + 1] == 1


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InvalidArgument, match="near: cosine") as unknown:
        make_schedule("cosin", {}, 0)
    assert unknown.value.reason == "SCHEDULE_UNKNOWN"
    for options in ({"slope": 1}, {"floor": 2}):
        with pytest.raises(InvalidArgument) as bad:
            make_schedule("cosine", options, 0)
        assert bad.value.reason == "BAD_SCHEDULE_OPTION"
        assert "floor" in bad.value.hint
