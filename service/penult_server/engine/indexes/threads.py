"""The threads that share a search out. They sleep between searches, where those of OpenMP would spin."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable

import faiss

from penult_server.engine.machine import cores


def spread(work: Callable[[slice], None], count: int, parts: int) -> None:
    """Does `work` for 0 to count - 1 in so many slices at once, each with one thread of FAISS."""
    bounds = [count * part // parts for part in range(parts + 1)]

    def one(first: int, last: int) -> None:
        faiss.omp_set_num_threads(1)
        work(slice(first, last))

    for _ in scanners().map(one, bounds[:-1], bounds[1:]):
        pass


@functools.cache
def scanners() -> concurrent.futures.ThreadPoolExecutor:
    """One for each core, for all searches together."""
    return concurrent.futures.ThreadPoolExecutor(cores(), thread_name_prefix="scan")
