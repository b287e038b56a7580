"""What the indexes hold at the moment, for whoever watches them: by kind, of which there are few."""

from __future__ import annotations

import collections
import math
import threading
import time
from collections.abc import Callable, Mapping

from penult_server.core.errors import PenultError
from penult_server.core.index_kinds import IndexState
from penult_server.core.indexes import IndexPhase
from penult_server.core.metrics import Meter
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.wall_clock import wall_time

_SCRAPE_SECONDS = 1.0


def watch_indexes(meter: Meter, indexes: OpenIndexes) -> None:
    """How many there are, what they hold, and how much a start would have to do again."""

    def phases() -> Mapping[str, float]:
        found = collections.Counter(index.phase.value for index in indexes.all())
        return {phase.value: found[phase.value] for phase in IndexPhase}

    states = _States(indexes)

    def by_kind(figure: Callable[[IndexState], int]) -> Callable[[], Mapping[str, float]]:
        def read() -> Mapping[str, float]:
            sums: collections.Counter[str] = collections.Counter()
            for state in states.read(figure):
                sums[state.kind] += figure(state)
            return sums

        return read

    meter.gauge("penult_indexes", "Indexes by phase.", phases, "phase")
    items = by_kind(lambda state: state.count)
    meter.gauge("penult_index_items", "Items that a search can find, by kind of index.", items, "kind")
    held = by_kind(lambda state: state.bytes)
    meter.gauge("penult_index_memory_bytes", "Memory of indexes by kind.", held, "kind")
    pending = by_kind(lambda state: state.pending)
    meter.gauge(
        "penult_index_pending_items", "Items outside of the structure of their index.", pending, "kind"
    )
    dead = by_kind(lambda state: state.tombstones)
    meter.gauge("penult_index_tombstones", "Removed vectors whose space is not reclaimed.", dead, "kind")
    meter.gauge(
        "penult_index_unsaved_items",
        "Items changed since the snapshot files, which a start reads from their rows.",
        lambda: sum(index.unsaved for index in indexes.all()),
    )
    meter.gauge(
        "penult_index_snapshot_age_seconds",
        "Age of the oldest snapshot file of an index that was changed since; 0 where none was.",
        lambda: max((_age(index.saved_at) for index in indexes.all() if index.unsaved), default=0.0),
    )


class _States:
    """What the indexes say of themselves, asked once for all figures of a scrape: it takes a while to count.

    A figure that is read again, or much later, begins the next scrape.
    """

    def __init__(self, indexes: OpenIndexes) -> None:
        self._indexes = indexes
        self._lock = threading.Lock()
        self._states: list[IndexState] = []
        self._asked = -math.inf
        self._read: set[object] = set()

    def read(self, figure: object) -> list[IndexState]:
        """The states of this scrape, for one figure."""
        with self._lock:
            if figure in self._read or time.monotonic() - self._asked > _SCRAPE_SECONDS:
                self._states = _described(self._indexes)
                self._asked, self._read = time.monotonic(), set()
            self._read.add(figure)
            return self._states


def _described(indexes: OpenIndexes) -> list[IndexState]:
    states = []
    for index in indexes.all():
        try:
            states.append(index.vectors.describe())
        except PenultError:  # it is loading, and has nothing to say yet
            continue
    return states


def _age(saved_at: float) -> float:
    return max(0.0, wall_time() - saved_at)
