"""How many threads linear algebra takes. A worker shares the machine with serving."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


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
