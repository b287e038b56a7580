"""Exact search over rows. Inside the engine scores are goodness: the larger the better, for every metric."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TypeAlias

import faiss
import numpy as np

from penult_server.core.index_kinds import Metric
from penult_server.engine.indexes.rows import ArrayBlock, RowsView
from penult_server.engine.indexes.threads import spread

PIECE_ROWS = 8192
"""Rows that are gathered or converted at once."""
_SCORE_BYTES = 64 << 20
# Multiplications that take a core about half a millisecond, ten times what it takes to hand them over.
_WORTH_A_THREAD = 2_000_000
# Squared lengths between these are exact enough as float32; others are scaled first.
_LEAST_SQUARE, _MOST_SQUARE = 1e-30, 1e30
NOTHING = -1

RowNumbers: TypeAlias = "range | np.ndarray"
"""Rows that follow each other, or int64 row numbers, rising."""


def prepare(vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """Vectors as they are stored and asked with: float32 (N, dim), contiguous, of length 1 for cosine."""
    values = np.ascontiguousarray(vectors, np.float32)
    if metric != "cosine":
        return values
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", values, values)
    far = np.flatnonzero((squares < _LEAST_SQUARE) | (squares > _MOST_SQUARE))
    if len(far):  # squares of small or large values leave float32
        values, rows = values.copy(), values[far]
        rows = rows / np.abs(rows).max(axis=1, keepdims=True, initial=np.finfo(np.float32).tiny)
        values[far], squares[far] = rows, np.einsum("ij,ij->i", rows, rows)
    return values / np.sqrt(squares)[:, None]


def nearest(
    queries: np.ndarray, rows: RowsView, searched: RowNumbers, k: int, metric: Metric, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the rows `searched` for each query, and how good they are; NOTHING where there are fewer.

    Up to `threads` threads share the rows, each row read once, and not the queries, as those of FAISS and of
    its matrix products would: these spin while they wait, and more than two at once block each other.
    """
    parts = min(threads, len(searched) * rows.dim * len(queries) // _WORTH_A_THREAD)
    if parts < 2:
        return _nearest(queries, rows, searched, k, metric)
    found, *others = spread(
        lambda part: _nearest(queries, rows, searched[part], k, metric), 0, len(searched), parts
    )
    return functools.reduce(lambda one, other: _merged(one, other, k), others, found)


def _nearest(
    queries: np.ndarray, rows: RowsView, searched: RowNumbers, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    found = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for numbers, vectors in _pieces(rows, searched):
        good, at = _nearest_of(queries, vectors, min(k, len(vectors)), metric)
        at = at + numbers if isinstance(numbers, int) else np.where(at >= 0, numbers[at], NOTHING)
        found = _merged(found, (at, good), k) if found[0].size else (at, good)
    return found


def _pieces(rows: RowsView, searched: RowNumbers) -> Iterator[tuple[np.ndarray | int, np.ndarray]]:
    """Row numbers of a piece, or its first one where they follow each other, and its vectors."""
    if isinstance(searched, range):
        yield from rows.parts(searched.start, searched.stop, 4 * PIECE_ROWS)
        return
    for start in range(0, len(searched), PIECE_ROWS):
        part = searched[start : start + PIECE_ROWS]
        yield part, rows.gather(part)


def _merged(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of both, best first."""
    rows, goodness = (np.hstack(pair) for pair in zip(one, other, strict=True))
    best = np.argsort(-goodness, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, best, 1), np.take_along_axis(goodness, best, 1)


def _nearest_of(
    queries: np.ndarray, vectors: np.ndarray, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    if metric == "l2":
        distances, at = faiss.knn(queries, vectors, k, faiss.METRIC_L2)
        return -distances, at
    return faiss.knn(queries, vectors, k, faiss.METRIC_INNER_PRODUCT)


def goodness(queries: np.ndarray, rows: RowsView, found: np.ndarray, metric: Metric) -> np.ndarray:
    """How good given rows are, by one formula: equal vectors get equal scores, however they were found.

    Args:
        queries: float32 (Q, dim).
        rows: where the vectors are.
        found: int64 (Q, C), NOTHING allowed.
        metric: the index's.

    Returns:
        float32 (Q, C): the product, or minus the squared distance; -inf for NOTHING.
    """
    scores = np.full(found.shape, -np.inf, np.float32)
    if not found.size:
        return scores
    if all(isinstance(block, ArrayBlock) and block.values.dtype == np.float32 for block in rows.blocks):
        for number in np.unique(rows.block_of(found[found >= 0])).tolist():
            block = rows.blocks[number]
            assert isinstance(block, ArrayBlock)
            start, end = rows.starts[number], rows.end(number)
            here = (found >= start) & (found < end)
            positions = np.where(here, found - start, NOTHING)
            values = _by_position(queries, block.values[: end - start], positions, metric)
            scores = np.where(here, values, scores)
        return scores
    most = max(1, _SCORE_BYTES // (found.shape[1] * queries.shape[1] * 4))
    for first in range(0, len(queries), most):
        part = found[first : first + most]
        there = part >= 0
        gathered = rows.gather(part[there])
        positions = np.full(part.shape, NOTHING, np.int64)
        positions[there] = np.arange(len(gathered))
        values = _by_position(queries[first : first + most], gathered, positions, metric)
        scores[first : first + most][there] = values[there]
    return scores


def _by_position(
    queries: np.ndarray, vectors: np.ndarray, positions: np.ndarray, metric: Metric
) -> np.ndarray:
    """FAISS's own loop over pairs, which copies nothing."""
    queries, positions = np.ascontiguousarray(queries), np.ascontiguousarray(positions)
    values = np.zeros(positions.shape, np.float32)
    score = faiss.fvec_L2sqr_by_idx if metric == "l2" else faiss.fvec_inner_products_by_idx
    score(
        faiss.swig_ptr(values),
        faiss.swig_ptr(queries),
        faiss.swig_ptr(vectors),
        faiss.swig_ptr(positions),
        queries.shape[1],
        *positions.shape,
    )
    return -values if metric == "l2" else values


def as_scores(goodness: np.ndarray, metric: Metric) -> np.ndarray:
    """Goodness in the words of core.index_kinds: cosines in [-1, 1], products, or distances."""
    if metric == "cosine":
        return np.minimum(np.maximum(goodness, -1), 1)
    return np.sqrt(np.maximum(-goodness, 0)) if metric == "l2" else goodness


def as_goodness(score: float, metric: Metric) -> float:
    """The least goodness that a score stands for."""
    if metric == "l2":
        return -(score * score) if score >= 0 else np.inf
    return score
