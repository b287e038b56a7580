"""Which row holds the vector of a key, for the writer and for readers that come in between two writes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# More keys than this are looked up in the column of keys at once instead of one by one.
_ONE_BY_ONE = 4096


class Slots:
    """From key to row. Writers and readers hold the same lock."""

    def __init__(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """`keys[n]` is in row `rows[n]`, both int64."""
        self._rows: dict[int, int] = dict(zip(keys.tolist(), rows.tolist(), strict=True))

    def find(self, keys: Iterable[int]) -> np.ndarray:
        """The row of each key that there is, int64; the others are left out."""
        rows = self._rows
        return np.fromiter((rows[key] for key in keys if key in rows), np.int64)

    def find_each(self, keys: np.ndarray) -> np.ndarray:
        """The row of each key, int64 (N,), -1 for none."""
        return np.fromiter((self._rows.get(key, -1) for key in keys.tolist()), np.int64, len(keys))

    def put(self, keys: np.ndarray, first: int) -> None:
        """Keys are in rows `first` and following from now on."""
        self._rows.update(zip(keys.tolist(), range(first, first + len(keys)), strict=True))

    def drop(self, keys: np.ndarray) -> None:
        """Keys are nowhere any more."""
        for key in keys.tolist():
            self._rows.pop(key, None)

    @property
    def bytes(self) -> int:
        """Roughly what the table and its numbers hold."""
        return self._rows.__sizeof__() + 64 * len(self._rows)


def living_rows(keys: np.ndarray, alive: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Living rows whose key is among `allowed` (rising), rising: for many keys, without a Slots."""
    return np.flatnonzero(np.isin(keys, allowed) & alive)


def many(keys: np.ndarray) -> bool:
    """Whether so many keys are better looked up all at once."""
    return len(keys) > _ONE_BY_ONE
