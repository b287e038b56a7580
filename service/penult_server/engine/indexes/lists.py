"""Searches of inverted lists, shared out so that memory is read once for queries that lie together."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from penult_server.engine.indexes.threads import spread

# Queries a thread below which handing them over costs more than it gains.
_WORTH_A_THREAD = 2
_ORDERED = (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer, faiss.IndexIVFPQ)


def search(
    index: faiss.IndexIVF, queries: np.ndarray, k: int, chosen: Any, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `index.search(queries, k, params=chosen)` returns, by up to `threads` threads.

    FAISS takes queries as they come, and each reads its lists from memory, which is the limit. Those whose
    lists are largely the same read them from the cache when they follow each other. They do so when
    ordered by the least number among their lists: the chance that two sets share their least member is
    the share of members that they have in common (Broder 1997, min-hash).
    """
    parts = min(threads, len(queries) // _WORTH_A_THREAD)
    distances = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    if parts < 1 or type(index) not in _ORDERED:
        index.search(queries, k, params=chosen, D=distances, I=rows)
        return distances, rows
    probes = min(chosen.nprobe, index.nlist)
    lists = np.empty((len(queries), probes), np.int64)
    near = np.empty(lists.shape, np.float32)

    def assign(part: slice) -> None:
        index.quantizer.search(queries[part], probes, D=near[part], I=lists[part])

    def scan(part: slice) -> None:
        these = order[part]
        distances[these], rows[these] = _scan(index, queries[these], k, lists[these], near[these], chosen)

    spread(assign, 0, len(queries), parts)
    order = np.argsort(lists.min(axis=1), kind="stable")
    spread(scan, 0, len(queries), parts)
    return distances, rows


def _scan(
    index: faiss.IndexIVF, queries: np.ndarray, k: int, lists: np.ndarray, near: np.ndarray, chosen: Any
) -> tuple[np.ndarray, np.ndarray]:
    """FAISS's search of lists that are known, whose wrapper for Python takes no parameters."""
    distances = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    pointers = map(faiss.swig_ptr, (lists, near, distances, rows))
    index.search_preassigned_c(len(queries), faiss.swig_ptr(queries), k, *pointers, False, chosen)
    return distances, rows
