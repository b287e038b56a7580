from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from penult_server.core.index_kinds import IndexSpec, Metric, faults
from penult_server.engine.indexes import exact
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.indexes.rows import Rows

RANDOM = np.random.default_rng(3)


def rows(monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray) -> Rows:
    """In several blocks."""
    monkeypatch.setattr("penult_server.engine.indexes.rows.BLOCK_BYTES", 1 << 14)
    made = Rows(vectors.shape[1])
    made.append(vectors)
    assert len(made.view().blocks) > 2
    return made


@pytest.mark.parametrize("metric", get_args(Metric))
@pytest.mark.parametrize("queries", [1, 3, 40])
@pytest.mark.parametrize(
    "searched", [range(2000), range(777, 2000), range(1990, 2000), np.arange(3, 2000, 7)], ids=str
)
def test_threads_share_rows_and_find_the_same(
    monkeypatch: pytest.MonkeyPatch, metric: Metric, queries: int, searched: range | np.ndarray
) -> None:
    vectors = exact.prepare(RANDOM.normal(size=(2000, 16)), metric)
    view = rows(monkeypatch, vectors).view()
    asked = vectors[:queries]
    monkeypatch.setattr(exact, "_WORTH_A_THREAD", 1)
    found, good = exact.nearest(asked, view, searched, 9, metric, 5)
    alone, best = exact.nearest(asked, view, searched, 9, metric)
    assert np.array_equal(found, alone)
    assert np.isin(found, searched).all()
    assert np.allclose(good, best, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_goodness_over_blocks_is_that_of_pairs(monkeypatch: pytest.MonkeyPatch, metric: Metric) -> None:
    vectors = RANDOM.normal(size=(2000, 16)).astype(np.float32)
    queries, found = vectors[:4], RANDOM.integers(-1, 2000, (4, 30))
    good = exact.goodness(queries, rows(monkeypatch, vectors).view(), found, metric)
    apart = vectors[found] - queries[:, None]
    pairs = -(apart**2).sum(axis=2) if metric == "l2" else (vectors[found] * queries[:, None]).sum(axis=2)
    assert np.allclose(good, np.where(found < 0, -np.inf, pairs), rtol=1e-4, atol=1e-4)


def test_vectors_of_any_length_become_unit_vectors() -> None:
    vectors = RANDOM.normal(size=(6, 300)).astype(np.float32)
    vectors *= np.asarray([1, 1e-30, 1e30, 1e-38, 3e37, 1], np.float32)[:, None]
    assert not faults(vectors, IndexSpec(300))
    assert np.allclose(np.linalg.norm(exact.prepare(vectors, "cosine"), axis=1), 1, atol=1e-6)
    broken = np.vstack([vectors, np.zeros((1, 300)), np.full((1, 300), np.inf)]).astype(np.float32)
    assert [(row, reason) for row, reason, _ in faults(broken, IndexSpec(300))] == [
        (6, "VECTOR_ZERO"),
        (7, "VECTOR_NOT_FINITE"),
    ]


@pytest.mark.parametrize("queries", [1, 64])
def test_equal_vectors_at_the_end_of_the_list_come_by_key(queries: int) -> None:
    """Matrix products may give equal vectors scores that differ in the last bit; the key decides even so."""
    index = FaissEngine(threads=2).create(IndexSpec(301))
    vectors = RANDOM.normal(size=(500, 301)).astype(np.float32)
    vectors[100:140] = vectors[7]
    index.add(RANDOM.permutation(500), np.zeros_like(vectors) + 1, sequence=1)
    keys = RANDOM.permutation(500)
    index.add(keys, vectors, sequence=2)
    equal = np.sort(np.append(keys[100:140], keys[7]))
    found, scores = index.search(np.repeat(vectors[7:8], queries, axis=0), 10)
    assert np.array_equal(found, np.repeat(equal[None, :10], queries, axis=0))
    assert (scores == scores[:, :1]).all()
