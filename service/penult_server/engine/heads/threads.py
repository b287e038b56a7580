"""How many threads linear algebra takes. A worker shares the machine with serving."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_LEAST_PRODUCT = 1e8
"""Multiplications of one matrix product below which threads wait for each other longer than they compute."""


def worthwhile(threads: int | None, rows: int, dim: int, classes: int) -> int | None:
    """The threads to use for a problem of this size: one where it is small, else as many as given.

    Measured with 500 rows of 128 values, 10 classes, two threads on two busy cores: 20 times slower than one.
    """
    return 1 if rows * min(rows, dim) * classes < _LEAST_PRODUCT else threads


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Holds NumPy's, SciPy's and PyTorch's threads to this number inside; None leaves them as they are."""
    if threads is None:
        yield
        return
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
