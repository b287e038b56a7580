"""The threads that share a search out. They sleep between searches, where those of OpenMP would spin."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable
from typing import TypeVar

import faiss

from penult_server.engine.machine import cores

T = TypeVar("T")


def spread(work: Callable[[slice], T], first: int, last: int, parts: int) -> list[T]:
    """Does `work` for `first` to `last` - 1 in so many slices at once, each with one thread of FAISS."""
    bounds = [first + (last - first) * part // parts for part in range(parts + 1)]

    def one(start: int, end: int) -> T:
        faiss.omp_set_num_threads(1)
        return work(slice(start, end))

    return list(_threads().map(one, bounds[:-1], bounds[1:]))


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
    """One for each core, for all searches together."""
    return concurrent.futures.ThreadPoolExecutor(cores(), thread_name_prefix="scan")
