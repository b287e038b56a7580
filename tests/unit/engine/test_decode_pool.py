from __future__ import annotations

import functools
import threading

from penult_server.core.batching import Priority
from penult_server.engine.decode_pool import DecodePool


def assert_set(gate: threading.Event) -> None:
    assert gate.wait(5)


def test_interactive_tasks_go_before_bulk_ones_that_came_earlier() -> None:
    pool, gate = DecodePool(1), threading.Event()
    order: list[str] = []
    pool.submit([lambda: assert_set(gate)], Priority.BULK)
    pool.submit([functools.partial(order.append, f"bulk{n}") for n in range(3)], Priority.BULK)
    pool.submit([functools.partial(order.append, f"interactive{n}") for n in range(2)], Priority.INTERACTIVE)
    gate.set()
    pool.close()
    assert order == ["interactive0", "interactive1", "bulk0", "bulk1", "bulk2"]


def test_close_finishes_what_is_queued_on_every_thread() -> None:
    pool = DecodePool(4)
    done: list[int] = []
    pool.submit([functools.partial(done.append, n) for n in range(500)], Priority.BULK)
    pool.close()
    assert sorted(done) == list(range(500))
