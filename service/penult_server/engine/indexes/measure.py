"""Recall of an index against exact search, with vectors of its own as queries."""

from __future__ import annotations

import numpy as np

from penult_server.core.index_ports import Report
from penult_server.engine.indexes.search import Wanted, search, search_exactly
from penult_server.engine.indexes.state import State

_BATCH = 64
_SEED = 1


def recall(state: State, k: int, sample: int, report: Report) -> float:
    """Share of the exact k nearest that a search finds; queries are a random sample that excludes itself.

    Rows that are as near as the exact k-th count as found, so equal vectors do no harm. 1 for an
    index of fewer than two vectors.
    """
    living = np.flatnonzero(state.alive)
    k = min(k, len(living) - 1)
    if k < 1:
        return 1.0
    chosen = np.random.default_rng(_SEED).choice(living, min(sample, len(living)), replace=False)
    shares: list[np.ndarray] = []
    for first in range(0, len(chosen), _BATCH):
        rows = chosen[first : first + _BATCH]
        wanted = Wanted(state.rows.gather(rows), k, None, list(rows[:, None]))
        _, truth = search_exactly(state, wanted)
        _, good = search(state, wanted)
        shares.append((good >= truth[:, -1:]).mean(axis=1))
        report(min(1.0, (first + _BATCH) / len(chosen)), "measuring recall")
    return float(np.concatenate(shares).mean())
