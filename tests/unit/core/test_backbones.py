from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.backbones import TRANSITIONS, BackboneState, Resident, plan_eviction

residents = st.lists(
    st.builds(
        Resident,
        name=st.text(min_size=1, max_size=4),
        memory_bytes=st.integers(1, 100),
        last_used=st.floats(0, 100),
        in_use=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda r: r.name,
)


@given(residents, st.integers(0, 200), st.integers(0, 400))
def test_eviction_frees_enough_and_no_more_and_the_oldest_first(
    loaded: list[Resident], needed: int, budget: int
) -> None:
    plan = plan_eviction(loaded, needed, budget)
    idle = sorted((r for r in loaded if not r.in_use), key=lambda r: r.last_used)
    held = sum(r.memory_bytes for r in loaded)
    if plan is None:
        assert held - sum(r.memory_bytes for r in idle) + needed > budget
        return
    assert plan == [r.name for r in idle[: len(plan)]]
    freed = sum(r.memory_bytes for r in idle[: len(plan)])
    assert held - freed + needed <= budget
    if plan:
        assert held - (freed - idle[len(plan) - 1].memory_bytes) + needed > budget


def test_every_state_can_be_left_and_reached() -> None:
    assert set(TRANSITIONS) == set(BackboneState)
    assert set().union(*TRANSITIONS.values()) == set(BackboneState)
