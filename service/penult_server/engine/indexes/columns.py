"""One value a row, beside the rows themselves."""

from __future__ import annotations

import numpy as np


class Column:
    """Grows by appending; views of it stay as they were. One writer at a time."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self._count = len(values)

    def append(self, values: np.ndarray) -> np.ndarray:
        """Adds values (N,), and returns the new view."""
        count = self._count + len(values)
        if count > len(self._values):
            grown = np.empty(max(64, 2 * count), self._values.dtype)
            grown[: self._count] = self._values[: self._count]
            self._values = grown
        self._values[self._count : count] = values
        self._count = count
        return self.view()

    def clear(self, rows: np.ndarray) -> np.ndarray:
        """Sets rows to zero, in a copy if there are any, and returns the new view."""
        if len(rows):
            self._values = self._values.copy()
            self._values[rows] = 0
        return self.view()

    def view(self) -> np.ndarray:
        """The values as they are now."""
        return self._values[: self._count]
