"""A FAISS index that was built over some rows, and how it is asked."""

from __future__ import annotations

import dataclasses

import faiss
import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Structure:
    """A FAISS index over rows 0 to size - 1, which are its ids. It is never changed."""

    index: faiss.Index
    size: int
    bytes: int

    def candidates(self, queries: np.ndarray, k: int, may: np.ndarray | None) -> np.ndarray:
        """Rows that may be among the k best, int64 (Q, >= k), NOTHING at the end of short lists.

        `may`, bool (size,), says which rows can be found; None says all.
        """
        raise NotImplementedError
