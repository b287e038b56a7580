from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.wall_clock import Forwards


class Machine:
    """A clock that anybody can put, and one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1000.0, 5.0

    def clock(self) -> Forwards:
        return Forwards(lambda: self.wall, lambda: self.monotonic)


def test_time_goes_on_from_where_it_was_until_the_machine_has_caught_up() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall, machine.monotonic = 1010.0, 15.0
    assert clock() == 1010.0
    machine.wall, machine.monotonic = 500.0, 25.0  # put back by 520 seconds
    assert clock() == 1020.0
    machine.wall, machine.monotonic = 1300.0, 30.0  # and right again
    assert clock() == 1300.0


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e6)), min_size=2))
def test_it_never_runs_backwards(moves: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock, before = machine.clock(), 0.0
    for jump, elapsed in moves:
        machine.wall += jump
        machine.monotonic += elapsed
        now = clock()
        assert now >= max(before, machine.wall)
        before = now
