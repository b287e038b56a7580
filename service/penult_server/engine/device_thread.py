"""The one thread that drives a device: takes batches from the queue, keeps one ahead, hands results back."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

import numpy as np

from penult_server.core.batching import Batch, BatchPolicy, BatchQueue, Priority
from penult_server.core.metrics import BATCH_SIZES, NO_METER, Meter
from penult_server.core.tracing import Trace, Tracer

R = TypeVar("R")
# One batch computes while the next is put together and copied to the device.
_PIPELINE_DEPTH = 2


class Pending(Protocol):
    """A forward pass that was started."""

    def result(self) -> np.ndarray:
        """Waits; float32 (N, dim). Raises what the device raises."""
        ...


class Runner(Hashable, Protocol):
    """One output of one backbone on one device. Used by the device thread only."""

    def start(self, batch: np.ndarray) -> Pending:
        """Begins a forward pass over uint8 (N, H, W, 3), and returns at once if it can."""
        ...


class Slot(Protocol):
    """Where one row of a result goes."""

    @property
    def abandoned(self) -> bool:
        """True once nobody waits for it."""
        ...

    @property
    def trace(self) -> Trace | None:
        """That of its call."""
        ...

    @property
    def pixels(self) -> np.ndarray:
        """uint8 (H, W, 3) of one view."""
        ...

    def deliver(self, row: np.ndarray) -> None:
        """Takes the float32 (dim,) feature of this view."""
        ...

    def fail(self, error: BaseException) -> None:
        """Takes the reason why there is none."""
        ...


@dataclasses.dataclass(slots=True)
class _InFlight:
    batch: Batch[Runner, Slot]
    pixels: np.ndarray
    pending: Pending
    started: float


class DeviceThread:
    """Owns a device. Everything that touches it goes through `push` or `call`."""

    def __init__(
        self, name: str, policy: BatchPolicy, meter: Meter = NO_METER, tracer: Tracer | None = None
    ) -> None:
        """Starts the thread; it ends with `close`."""
        self._tracer = tracer
        self._wait_seconds = meter.histogram(
            "penult_queue_wait_seconds", "From the decoded pixels of a batch's oldest image to its start."
        )
        self._batch_images = meter.histogram("penult_batch_images", "Images in a forward pass.", BATCH_SIZES)
        self._inference_seconds = meter.histogram(
            "penult_inference_seconds", "From the start of a forward pass to its features."
        )
        self._queue: BatchQueue[Runner, Slot] = BatchQueue(policy)
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._ready = threading.Condition()
        self._closed = False
        self._batch_number = 0
        self._thread = threading.Thread(target=self._work, name=f"device-{name}", daemon=True)
        self._thread.start()

    def expect(self, key: Runner, count: int) -> None:
        """Announces slots that are still being decoded, or takes an announcement back."""
        with self._ready:
            self._queue.expect(key, count)
            if count < 0:
                self._ready.notify()

    def push(self, key: Runner, slots: list[Slot], priority: Priority) -> None:
        """Queues announced slots."""
        now = time.monotonic()
        with self._ready:
            for slot in slots:
                self._queue.push(key, slot, priority, now)
            self._queue.expect(key, -len(slots))
            self._ready.notify()

    def call(self, function: Callable[[], R]) -> R:
        """Runs `function` on the device thread between two batches and returns its result."""
        done: concurrent.futures.Future[R] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

        with self._ready:
            if self._closed:
                raise RuntimeError("the device thread has ended")
            self._calls.append(run)
            self._ready.notify()
        return done.result()

    def close(self) -> None:
        """Computes what is queued and ends the thread."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _work(self) -> None:
        in_flight: collections.deque[_InFlight] = collections.deque()
        while True:
            batch, call = self._next(block=not in_flight)
            if call is not None:
                self._finish_all(in_flight)
                call()
            elif batch is not None:
                self._start(batch, in_flight)
                if len(in_flight) >= _PIPELINE_DEPTH:
                    self._finish(in_flight.popleft())
            elif in_flight:
                self._finish(in_flight.popleft())
            else:
                return

    def _next(self, *, block: bool) -> tuple[Batch[Runner, Slot] | None, Callable[[], None] | None]:
        """The next batch or call; neither when there is none now, or, where it may block, at the end."""
        with self._ready:
            while True:
                if self._calls:
                    return None, self._calls.popleft()
                answer = self._queue.take(time.monotonic())
                if isinstance(answer, Batch):
                    return answer, None
                if not block or (self._closed and not len(self._queue)):
                    return None, None
                self._ready.wait(answer.seconds)

    def _start(self, batch: Batch[Runner, Slot], in_flight: collections.deque[_InFlight]) -> None:
        wanted = Batch(batch.key, [slot for slot in batch.items if not slot.abandoned])
        if not wanted.items:
            return
        pixels = np.stack([slot.pixels for slot in wanted.items])
        self._wait_seconds.observe(time.monotonic() - batch.oldest)
        self._batch_images.observe(len(wanted.items))
        if (flight := self._launch(wanted, pixels)) is not None:
            in_flight.append(flight)

    def _launch(self, batch: Batch[Runner, Slot], pixels: np.ndarray) -> _InFlight | None:
        """Begins the forward pass, or rescues the batch at once and returns None."""
        try:
            started = time.monotonic()
            return _InFlight(batch, pixels, batch.key.start(pixels), started)
        except Exception as error:  # whatever a device raises belongs to this batch, and the thread must live
            self._rescue(batch, pixels, error)
            return None

    def _finish_all(self, in_flight: collections.deque[_InFlight]) -> None:
        while in_flight:
            self._finish(in_flight.popleft())

    def _finish(self, flight: _InFlight) -> None:
        try:
            rows = flight.pending.result()
        except Exception as error:  # as in _launch: many devices fail only when their result is asked for
            self._rescue(flight.batch, flight.pixels, error)
            return
        seconds = time.monotonic() - flight.started
        self._inference_seconds.observe(seconds)
        if self._tracer is not None:
            self._record(self._tracer, flight.batch.items, seconds)
        for slot, row in zip(flight.batch.items, rows, strict=True):
            slot.deliver(row)

    def _record(self, tracer: Tracer, slots: list[Slot], seconds: float) -> None:
        """One step for each call that rode along."""
        calls = collections.Counter(slot.trace for slot in slots if slot.trace is not None)
        self._batch_number += 1
        for trace, images in calls.items():
            tracer.record(
                trace, "batch", seconds, images=images, batch_images=len(slots), batch=self._batch_number
            )

    def _rescue(self, batch: Batch[Runner, Slot], pixels: np.ndarray, error: Exception) -> None:
        """Halves a batch that failed, down to single items: out of memory is often a matter of size."""
        if len(batch.items) == 1:
            batch.items[0].fail(error)
            return
        middle = len(batch.items) // 2
        for items, part in ((batch.items[:middle], pixels[:middle]), (batch.items[middle:], pixels[middle:])):
            if (flight := self._launch(Batch(batch.key, items), part)) is not None:
                self._finish(flight)
