"""Lists searched in another order and by several threads find what FAISS finds alone."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest

from penult_server.engine.indexes import lists
from penult_server.engine.indexes.structure import parameters

DIM, COUNT = 16, 800


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


@pytest.fixture(params=["IVF16,Flat", "IVF16,SQ8", "IVF16,PQ8x4", "IVF16,PQ8x4fs"])
def index(request: pytest.FixtureRequest) -> Any:
    made = faiss.index_factory(DIM, request.param, faiss.METRIC_L2)
    made.train(vectors(COUNT, 1))
    made.add(vectors(COUNT, 2))
    return made


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("queries", [1, 2, 3, 37])
def test_order_and_threads_change_nothing(index: Any, threads: int, queries: int) -> None:
    asked, chosen = vectors(queries, 3), parameters(index, 3, None)
    expected = index.search(asked, 7, params=chosen)
    distances, rows = lists.search(index, asked, 7, chosen, threads)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-5)
    np.testing.assert_array_equal(rows, expected[1])


def test_a_selector_holds_and_short_lists_end_with_nothing() -> None:
    index = faiss.index_factory(DIM, "IVF16,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors(COUNT, 1))
    index.add(vectors(COUNT, 2))
    may = np.zeros(COUNT, bool)
    may[[3, 5, 8]] = True
    selector = faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))
    _, rows = lists.search(index, vectors(20, 3), 5, parameters(index, 99, selector), 2)
    assert {*rows[:, :3].ravel().tolist()} == {3, 5, 8}
    assert (rows[:, 3:] == -1).all()
