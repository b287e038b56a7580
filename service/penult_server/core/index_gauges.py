"""What the indexes hold at the moment, for whoever watches them: by kind, of which there are few."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping

from penult_server.core.errors import PenultError
from penult_server.core.index_kinds import IndexState
from penult_server.core.indexes import IndexPhase
from penult_server.core.metrics import Meter
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.wall_clock import wall_time


def watch_indexes(meter: Meter, indexes: OpenIndexes) -> None:
    """How many there are, what they hold, and how much a start would have to do again."""

    def phases() -> Mapping[str, float]:
        found = collections.Counter(index.phase.value for index in indexes.all())
        return {phase.value: found[phase.value] for phase in IndexPhase}

    def by_kind(figure: Callable[[IndexState], int]) -> Callable[[], Mapping[str, float]]:
        def read() -> Mapping[str, float]:
            sums: collections.Counter[str] = collections.Counter()
            for state in _states(indexes):
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


def _states(indexes: OpenIndexes) -> list[IndexState]:
    states = []
    for index in indexes.all():
        try:
            states.append(index.vectors.describe())
        except PenultError:  # it is loading, and has nothing to say yet
            continue
    return states


def _age(saved_at: float) -> float:
    return max(0.0, wall_time() - saved_at)
