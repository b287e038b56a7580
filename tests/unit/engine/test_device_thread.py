"""The device thread over runners that do arithmetic: what is tested is who gets which row, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from penult_server.core.batching import BatchPolicy, Priority
from penult_server.engine.device_thread import DeviceThread, Pending


class Answer:
    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def result(self) -> np.ndarray:
        return self.rows


class Doubler:
    """Feature = twice the mean pixel. Fails for batches that `refuses` names."""

    def __init__(self, refuses: Callable[[np.ndarray], bool] = lambda batch: False) -> None:
        self.refuses = refuses
        self.sizes: list[int] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def start(self, batch: np.ndarray) -> Pending:
        self.gate.wait(5)
        self.threads.add(threading.current_thread().name)
        self.sizes.append(len(batch))
        if self.refuses(batch):
            raise RuntimeError("out of memory")
        return Answer(batch.reshape(len(batch), -1).mean(axis=1, keepdims=True) * 2)


class Slot:
    def __init__(self, value: int, *, abandoned: bool = False) -> None:
        self.pixels = np.full((2, 2, 3), value, np.float32)
        self.abandoned = abandoned
        self.trace: object | None = None
        self.row: np.ndarray | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def deliver(self, row: np.ndarray) -> None:
        self.row = row
        self.done.set()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done.set()


@pytest.fixture
def device() -> Iterator[DeviceThread]:
    thread = DeviceThread("test", BatchPolicy(max_batch=8, max_wait=0.05))
    yield thread
    thread.close()


def run(device: DeviceThread, runner: Doubler, slots: list[Slot]) -> None:
    device.expect(runner, len(slots))
    device.push(runner, list(slots), Priority.BULK)
    assert all(slot.done.wait(5) for slot in slots if not slot.abandoned)


def test_every_slot_gets_its_own_row_in_batches_of_one_thread(device: DeviceThread) -> None:
    runner, slots = Doubler(), [Slot(value) for value in range(37)]
    run(device, runner, slots)
    assert [float(slot.row[0]) for slot in slots if slot.row is not None] == [2.0 * v for v in range(37)]
    assert max(runner.sizes) <= 8
    assert sum(runner.sizes) == 37
    assert runner.threads == {"device-test"}


def test_items_of_different_callers_ride_together(device: DeviceThread) -> None:
    runner, slots = Doubler(), [Slot(value) for value in range(6)]
    runner.gate.clear()
    device.expect(runner, 6)
    pushers = [threading.Thread(target=device.push, args=(runner, [s], Priority.INTERACTIVE)) for s in slots]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join()
    runner.gate.set()
    assert all(slot.done.wait(5) for slot in slots)
    assert max(runner.sizes) > 1


def test_a_batch_that_fails_is_halved_until_only_the_bad_item_is_left(device: DeviceThread) -> None:
    runner = Doubler(refuses=lambda batch: bool((batch == 5).any()))
    slots = [Slot(value) for value in range(8)]
    run(device, runner, slots)
    assert [slot.error is not None for slot in slots] == [value == 5 for value in range(8)]
    assert all(float(slot.row[0]) == 2 * v for v, slot in enumerate(slots) if slot.row is not None)


def test_too_large_a_batch_for_the_memory_is_computed_in_parts(device: DeviceThread) -> None:
    runner, slots = Doubler(refuses=lambda batch: len(batch) > 2), [Slot(value) for value in range(8)]
    run(device, runner, slots)
    assert all(slot.error is None for slot in slots)


def test_what_nobody_waits_for_is_not_computed(device: DeviceThread) -> None:
    runner = Doubler()
    run(device, runner, [Slot(v, abandoned=v % 2 == 0) for v in range(10)])
    assert sum(runner.sizes) == 5


def test_calls_run_on_the_device_thread_and_raise_at_the_caller(device: DeviceThread) -> None:
    assert device.call(lambda: threading.current_thread().name) == "device-test"

    def wrong() -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        device.call(wrong)
    assert device.call(lambda: 1) == 1


def test_close_computes_what_is_queued() -> None:
    device = DeviceThread("closing", BatchPolicy(max_batch=2, max_wait=0))
    runner, slots = Doubler(), [Slot(v) for v in range(9)]
    runner.gate.clear()
    device.push(runner, list(slots), Priority.BULK)
    threading.Thread(target=lambda: (time.sleep(0.05), runner.gate.set())).start()
    device.close()
    assert all(slot.row is not None for slot in slots)
    with pytest.raises(RuntimeError):
        device.call(lambda: None)
