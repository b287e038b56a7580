"""One suite over every kind of index: what VectorIndex promises holds whatever the structure."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penult_server.core.errors import DataLoss, InvalidArgument, NotFound
from penult_server.core.index_kinds import NO_KEY, IndexSpec, KeySet, Metric
from penult_server.core.index_ports import VectorIndex
from penult_server.engine.indexes import auto, search
from penult_server.engine.indexes.base import KINDS
from penult_server.engine.indexes.engine import FaissEngine

DIM = 24
COUNT = 900
CASES: dict[str, IndexSpec] = {
    "auto": IndexSpec(DIM),
    "auto in little memory": IndexSpec(DIM, memory_bytes=150_000),
    "flat": IndexSpec(DIM, kind="flat"),
    "flat on disk": IndexSpec(DIM, kind="flat", parameters={"vectors": "disk"}),
    "sq fp16": IndexSpec(DIM, kind="sq"),
    "sq 8bit": IndexSpec(DIM, kind="sq", parameters={"encoding": "8bit"}),
    "ivf": IndexSpec(DIM, kind="ivf"),
    "ivf 8bit": IndexSpec(DIM, kind="ivf", parameters={"encoding": "8bit", "nlist": 8}),
    "ivf_pq": IndexSpec(DIM, kind="ivf_pq", parameters={"bits": 4, "parts": 12}),
    "ivf_pq float16": IndexSpec(
        DIM, kind="ivf_pq", parameters={"bits": 4, "parts": 12, "vectors": "float16"}
    ),
    "hnsw": IndexSpec(DIM, kind="hnsw"),
    "factory lists": IndexSpec(DIM, kind="factory", parameters={"factory": "PCA16,IVF8,SQ8"}),
    "factory fast scan": IndexSpec(DIM, kind="factory", parameters={"factory": "IVF8,PQ12x4fs"}),
    "factory graph": IndexSpec(DIM, kind="factory", parameters={"factory": "HNSW16,SQ8"}),
}
STRUCTURED = {name for name in CASES if name != "flat"}


def test_every_registered_kind_is_a_case() -> None:
    assert {spec.kind for spec in CASES.values()} == set(KINDS)


def quiet(share: float, words: str) -> None:
    assert 0 <= share <= 1
    assert words


def clustered(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(20, DIM))
    return (centres[random.integers(20, size=count)] + 0.4 * random.normal(size=(count, DIM))).astype(
        np.float32
    )


def scores_of(queries: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
    a, b = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(a[:, None] - b[None], axis=2)
    if metric == "cosine":
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


@pytest.fixture
def engine(tmp_path: Path) -> FaissEngine:
    return FaissEngine(threads=1, folder=tmp_path)


@pytest.fixture(params=CASES)
def spec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> IndexSpec:
    # As if a few hundred vectors were many.
    monkeypatch.setattr(auto, "_EXACT_VALUES", 100 * DIM)
    monkeypatch.setattr(auto, "_LEAST", 100)
    monkeypatch.setattr(search, "_SCAN_ROWS", 20)
    return CASES[request.param]


def test_the_structure_is_built(engine: FaissEngine, spec: IndexSpec) -> None:
    index = filled(engine, spec, clustered(COUNT, 1))
    state = index.describe()
    if spec.kind == "flat":
        assert (state.kind, state.factory, state.pending) == ("flat", "", 0)
        return
    assert state.factory
    assert state.pending == COUNT - COUNT * 9 // 10
    assert state.trained_on > 0
    assert state.why
    assert state.recall_at_10 is not None
    assert state.recall_at_10 >= 0.9
    assert index.due() == ""


@pytest.fixture(params=get_args(Metric))
def metric(request: pytest.FixtureRequest) -> Metric:
    metric: Metric = request.param
    return metric


def filled(
    engine: FaissEngine, spec: IndexSpec, vectors: np.ndarray, *, optimize: bool = True
) -> VectorIndex:
    """Keys are 10, 11, …; the last tenth comes after the structure was built."""
    index = engine.create(spec)
    early = len(vectors) * 9 // 10
    index.add(np.arange(10, 10 + early), vectors[:early], sequence=1)
    if optimize:
        index.optimize(quiet)
    index.add(np.arange(10 + early, 10 + len(vectors)), vectors[early:], sequence=2)
    return index


def test_what_is_added_is_found_with_its_score(engine: FaissEngine, spec: IndexSpec, metric: Metric) -> None:
    vectors = clustered(COUNT, 1)
    index = filled(engine, dataclasses.replace(spec, metric=metric), vectors)
    queries = clustered(20, 2)
    keys, scores = index.search(queries, 10)
    assert keys.shape == scores.shape == (20, 10)
    assert keys.dtype == np.int64
    assert scores.dtype == np.float32
    truth = scores_of(queries, index.vectors(np.arange(10, 10 + COUNT)), metric)
    for row in range(20):
        np.testing.assert_allclose(scores[row], truth[row, keys[row] - 10], rtol=0.02, atol=0.02)
    ordered = scores if metric == "l2" else -scores
    assert (np.diff(ordered, axis=1) >= 0).all()
    best = np.sort(truth if metric == "l2" else -truth, axis=1)[:, :10]
    assert (ordered <= best[:, -1:] + 1e-3).mean() >= 0.9
    assert index.recall(10, 50, quiet) >= 0.9


def test_cosines_stay_in_range_whatever_the_length(engine: FaissEngine, spec: IndexSpec) -> None:
    directions = clustered(COUNT, 3)
    lengths = 10.0 ** np.linspace(-30, 30, COUNT)
    index = filled(
        engine,
        spec,
        (directions / np.linalg.norm(directions, axis=1, keepdims=True) * lengths[:, None]).astype(
            np.float32
        ),
    )
    keys, scores = index.search(directions * np.float32(1e-20), 1)
    assert (np.abs(scores) <= 1).all()
    assert (scores > 0.99).mean() > 0.95
    assert (keys[:, 0] == np.arange(10, 10 + COUNT)).mean() > 0.95


def test_a_removed_vector_is_gone_at_once(engine: FaissEngine, spec: IndexSpec) -> None:
    vectors = clustered(COUNT, 4)
    index = filled(engine, spec, vectors)
    gone = np.arange(10, 10 + COUNT, 3)
    assert index.remove(np.append(gone, 999_999), sequence=3) == len(gone)
    assert index.remove(gone, sequence=4) == 0
    assert index.count == COUNT - len(gone)
    assert index.sequence == 4
    keys, _ = index.search(vectors, 20)
    assert not np.isin(keys, gone).any()
    assert (keys != NO_KEY).all()
    assert np.isnan(index.vectors(gone)).all()
    index.optimize(quiet)
    assert index.describe().tombstones == 0
    keys, _ = index.search(vectors, 20)
    assert not np.isin(keys, gone).any()
    assert index.count == COUNT - len(gone)


def test_a_vector_put_anew_replaces_the_old_one_at_once(engine: FaissEngine, spec: IndexSpec) -> None:
    vectors = clustered(COUNT, 5)
    index = filled(engine, spec, vectors)
    changed = np.arange(10, 60)
    index.add(changed, -vectors[:50], sequence=3)
    assert index.count == COUNT
    for _ in range(2):
        keys, scores = index.search(-vectors[:50], 1)
        assert (keys[:, 0] == changed).mean() > 0.9
        assert (scores[:, 0] > 0.95).all()
        keys, scores = index.search(vectors[:50], COUNT)
        for row in range(50):
            assert (keys[row] == changed[row]).sum() == 1
            assert scores[row][keys[row] == changed[row]] < -0.95
        index.optimize(quiet)


def test_a_search_finds_all_there_is_and_no_more(engine: FaissEngine, spec: IndexSpec) -> None:
    vectors = clustered(COUNT, 6)
    index = filled(engine, spec, vectors)
    keys, scores = index.search(vectors[:3], COUNT + 5)
    assert (np.sort(keys[:, :COUNT], axis=1) == np.arange(10, 10 + COUNT)).all()
    assert (keys[:, COUNT:] == NO_KEY).all()
    assert np.isnan(scores[:, COUNT:]).all()


def test_filters_and_exclusions_are_exact_in_effect(engine: FaissEngine, spec: IndexSpec) -> None:
    vectors = clustered(COUNT, 7)
    index = filled(engine, spec, vectors)
    index.remove(np.arange(10, 40), sequence=3)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.005, 0.05, 0.5, 0.95, 1.0]), st.integers(1, 30))
    def check(seed: int, share: float, k: int) -> None:
        random = np.random.default_rng(seed)
        allowed = np.flatnonzero(random.random(COUNT + 50) < share)
        queries = clustered(3, seed)
        exclude = [[], random.integers(10, COUNT, size=5).tolist(), allowed[:7].tolist()]
        keys, scores = index.search(queries, k, allowed=KeySet.of(allowed), exclude=exclude)
        for row in range(3):
            may = np.setdiff1d(allowed[(allowed >= 40) & (allowed < 10 + COUNT)], exclude[row])
            found = keys[row][keys[row] != NO_KEY]
            assert len(found) == min(k, len(may))
            assert len(np.unique(found)) == len(found)
            assert np.isin(found, may).all()
            if len(may):
                best = np.sort(scores_of(queries[row : row + 1], index.vectors(may), "cosine")[0])[::-1][:k]
                # Codes of 8 bits move a cosine by up to a hundredth, and so the one that it is compared with.
                assert (scores[row, : len(found)] >= best[-1] - 2e-2).mean() >= 0.8

    check()


def test_a_least_score_cuts_the_list(engine: FaissEngine, spec: IndexSpec, metric: Metric) -> None:
    vectors = clustered(COUNT, 8)
    index = filled(engine, dataclasses.replace(spec, metric=metric), vectors)
    _, scores = index.search(vectors[:5], 50)
    bound = float(scores[0, 20])
    keys, cut = index.search(vectors[:5], 50, min_score=bound)
    kept = keys != NO_KEY
    within = scores <= bound if metric == "l2" else scores >= bound
    assert np.abs(kept.sum(axis=1) - within.sum(axis=1)).max() <= 1
    assert kept[0].sum() in (20, 21)
    assert np.isnan(cut[~kept]).all()


def test_equal_vectors_come_by_key(engine: FaissEngine, spec: IndexSpec) -> None:
    index = engine.create(spec)
    same = np.tile(clustered(1, 9), (30, 1))
    order = np.random.default_rng(1).permutation(30)
    index.add(order, same, sequence=1)
    for _ in range(2):
        keys, _ = index.search(same[:1], 10)
        assert keys.tolist() == [list(range(10))]
        index.optimize(quiet)


def test_a_snapshot_holds_everything(engine: FaissEngine, spec: IndexSpec, tmp_path: Path) -> None:
    vectors = clustered(COUNT, 10)
    index = filled(engine, spec, vectors)
    index.remove(np.arange(20, 30), sequence=7)
    path = tmp_path / "snapshot"
    facts = index.snapshot(path)
    assert facts.sequence == 7
    assert facts.bytes <= path.stat().st_size
    assert sorted(item.name for item in tmp_path.iterdir()) == ["snapshot"]
    loaded = engine.load(spec, path)
    assert (loaded.count, loaded.sequence) == (COUNT - 10, 7)
    assert dataclasses.replace(loaded.describe(), bytes=0) == dataclasses.replace(index.describe(), bytes=0)
    for one, other in zip(index.search(vectors[:50], 10), loaded.search(vectors[:50], 10), strict=True):
        np.testing.assert_array_equal(one, other)
    loaded.add(np.array([20]), vectors[10:11], sequence=8)
    assert loaded.search(vectors[10:11], 1)[0][0, 0] == 20
    loaded.optimize(quiet)
    assert loaded.count == COUNT - 9


def test_a_damaged_snapshot_is_refused(engine: FaissEngine, spec: IndexSpec, tmp_path: Path) -> None:
    filled(engine, spec, clustered(COUNT, 11)).snapshot(tmp_path / "good")
    good = (tmp_path / "good").read_bytes()
    random = np.random.default_rng(1)
    damages: list[Callable[[], bytes]] = [
        lambda: good[: random.integers(len(good))],
        lambda: good[:-1],
        lambda: b"",
        lambda: good + b"x",
        *[
            lambda at=at: good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            for at in random.integers(len(good), size=20)
        ],
    ]
    for damage in damages:
        (tmp_path / "bad").write_bytes(damage())
        with pytest.raises(DataLoss) as caught:
            engine.load(spec, tmp_path / "bad")
        assert caught.value.reason == "INDEX_SNAPSHOT_DAMAGED"
        assert str(tmp_path) not in caught.value.message
    with pytest.raises(DataLoss):
        engine.load(dataclasses.replace(spec, metric="l2"), tmp_path / "good")
    with pytest.raises(NotFound):
        engine.load(spec, tmp_path / "none")


def test_reads_and_writes_go_on_while_it_is_optimized(
    engine: FaissEngine, spec: IndexSpec, tmp_path: Path
) -> None:
    vectors = clustered(COUNT, 12)
    index = filled(engine, spec, vectors, optimize=False)
    stop = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not stop.is_set():
            keys, scores = index.search(vectors[:8], 5)
            if (keys == NO_KEY).any() or np.isnan(scores).any():
                wrong.append("a hit is missing")
            if len(set(keys[0].tolist())) != 5:
                wrong.append("a key came twice")

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            # The same key moves between two places; whichever it is in, it is in one.
            index.add(np.array([5000]), vectors[turn % 2][None], sequence=100 + turn)
            index.remove(np.array([10 + 100 + turn % 50]), sequence=100 + turn)

    threads = [threading.Thread(target=read), threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        index.optimize(quiet)
        index.snapshot(tmp_path / "snapshot")
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert not np.isnan(index.vectors(np.array([5000]))).any()
    written = index.sequence
    index.optimize(quiet)
    assert index.sequence == written
    assert index.search(index.vectors(np.array([5000])), 3)[0][0].tolist().count(5000) == 1


def test_abandoned_work_leaves_the_index_as_it_was(engine: FaissEngine, spec: IndexSpec) -> None:
    vectors = clustered(COUNT, 13)
    index = filled(engine, spec, vectors, optimize=False)
    before = index.search(vectors[:9], 5)

    def stop(share: float, words: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.optimize(stop)
    for one, other in zip(before, index.search(vectors[:9], 5), strict=True):
        np.testing.assert_array_equal(one, other)
    index.add(np.array([1]), vectors[:1], sequence=9)
    index.optimize(quiet)
    assert index.count == COUNT + 1


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        ([1, 1], lambda v: v),
        ([1], lambda v: v),
        ([1, -1], lambda v: v),
        ([1, 2], lambda v: v * 0),
        ([1, 2], lambda v: v * np.nan),
        ([1, 2], lambda v: v[:, 1:]),
    ],
)
def test_what_it_cannot_take_changes_nothing(
    engine: FaissEngine, spec: IndexSpec, keys: list[int], change: Callable[[np.ndarray], np.ndarray]
) -> None:
    index = engine.create(spec)
    with pytest.raises(InvalidArgument) as caught:
        index.add(np.array(keys), change(clustered(2, 14)), sequence=5)
    assert caught.value.reason == "VECTOR_INVALID"
    assert (index.count, index.sequence) == (0, 0)
    assert index.search(clustered(2, 15), 3)[0].tolist() == [[NO_KEY] * 3] * 2


def test_an_empty_index_answers_and_can_be_optimized(
    engine: FaissEngine, spec: IndexSpec, tmp_path: Path
) -> None:
    index = engine.create(spec)
    index.optimize(quiet)
    assert index.due() == ""
    assert index.recall(10, 10, quiet) == 1
    index.snapshot(tmp_path / "empty")
    assert engine.load(spec, tmp_path / "empty").count == 0
