"""How long the latest calls took."""

from __future__ import annotations

import collections

_KEPT = 1000


class Latency:
    """Percentiles over the latest calls, and how many queries there were in all."""

    def __init__(self) -> None:
        self.queries = 0
        self._seconds: collections.deque[float] = collections.deque(maxlen=_KEPT)

    def add(self, queries: int, seconds: float) -> None:
        """One call with so many queries."""
        self.queries += queries
        self._seconds.append(seconds)

    def percentile_ms(self, share: float) -> float:
        """Nearest rank, in milliseconds; 0 before the first call."""
        ordered = sorted(self._seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
