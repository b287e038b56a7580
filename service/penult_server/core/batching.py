"""Which items ride together in one forward pass. Pure: no threads, no clock, no arrays.

The queue answers one question, "what should the device compute now?", by four rules:

1. A key (backbone, output, dtype) is served by its most urgent item: interactive before bulk, then by age.
   A bulk item that has waited longer than `bulk_patience` counts as interactive, so that it never starves.
2. A batch takes interactive items first and fills up with bulk ones, to `max_batch` at most.
3. A batch leaves at once when it is full, or when nothing more of its key is on its way.
4. Otherwise it waits for more, until its oldest item has waited `max_wait`.

Rule 3 is what makes a lone request quick: the caller announces what it is still decoding
(`expect`), so an item with no company to wait for never waits.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Priority(enum.IntEnum):
    """Who waits for the answer. Lower goes first."""

    INTERACTIVE = 0
    BULK = 1


@dataclasses.dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Bounds of a batch. Times are in seconds."""

    max_batch: int = 8
    max_wait: float = 0.004
    bulk_patience: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Batch(Generic[K, T]):
    """Items of one key, in the order they were chosen; `oldest` is when the first of them was pushed."""

    key: K
    items: list[T]
    oldest: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to compute yet: ask again after `seconds`, or when something is pushed. None means idle."""

    seconds: float | None


class BatchQueue(Generic[K, T]):
    """Waiting items by key and priority. Not thread-safe; the owner brings the lock and the clock."""

    def __init__(self, policy: BatchPolicy) -> None:
        """Starts empty."""
        self._policy = policy
        self._lanes: dict[K, tuple[collections.deque[tuple[float, T]], ...]] = {}
        self._expected: collections.Counter[K] = collections.Counter()

    def __len__(self) -> int:
        """Items waiting."""
        return sum(len(lane) for lanes in self._lanes.values() for lane in lanes)

    def expect(self, key: K, count: int) -> None:
        """Announces items that will be pushed; a negative `count` takes announcements back."""
        self._expected[key] += count
        if self._expected[key] <= 0:
            del self._expected[key]

    def push(self, key: K, item: T, priority: Priority, now: float) -> None:
        """Adds an item. The caller lowers the expectation itself, once for each announced item."""
        lanes = self._lanes.get(key)
        if lanes is None:
            lanes = self._lanes[key] = tuple(collections.deque() for _ in Priority)
        lanes[priority].append((now, item))

    def take(self, now: float) -> Batch[K, T] | Wait:
        """Removes and returns the batch to compute now, or says how long to wait.

        A key that still waits for company never holds back another key that is ready.
        """
        soonest: float | None = None
        for key in sorted(self._lanes, key=lambda k: self._urgency(k, now)):
            wait = self._wait(key, now)
            if wait <= 0:
                oldest = min(lane[0][0] for lane in self._lanes[key] if lane)
                return Batch(key, self._pop(key, now), oldest)
            soonest = wait if soonest is None else min(soonest, wait)
        return Wait(soonest)

    def _urgency(self, key: K, now: float) -> tuple[int, float]:
        interactive, bulk = self._lanes[key]
        if bulk and now - bulk[0][0] > self._policy.bulk_patience:
            return Priority.INTERACTIVE, min(bulk[0][0], interactive[0][0] if interactive else now)
        if interactive:
            return Priority.INTERACTIVE, interactive[0][0]
        return Priority.BULK, bulk[0][0]

    def _wait(self, key: K, now: float) -> float:
        lanes = self._lanes[key]
        if not self._expected[key] or sum(map(len, lanes)) >= self._policy.max_batch:
            return 0
        oldest = min(lane[0][0] for lane in lanes if lane)
        return oldest + self._policy.max_wait - now

    def _pop(self, key: K, now: float) -> list[T]:
        interactive, bulk = self._lanes[key]
        items: list[T] = []
        # One overdue bulk item first: enough that the lane moves, too little to delay the others.
        if bulk and now - bulk[0][0] > self._policy.bulk_patience:
            items.append(bulk.popleft()[1])
        for lane in (interactive, bulk):
            while lane and len(items) < self._policy.max_batch:
                items.append(lane.popleft()[1])
        if not interactive and not bulk:
            del self._lanes[key]
        return items
