"""One suite over every retrieval step: an index with steps keeps every promise but that of plain scores."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from penult_server.core.errors import DataLoss, InvalidArgument
from penult_server.core.index_kinds import NO_KEY, IndexSpec, KeySet, StepSpec
from penult_server.core.index_ports import VectorIndex
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.retrieval.base import STEPS

DIM = 16
COUNT = 300
CASES: dict[str, tuple[StepSpec, ...]] = {
    **{name: (StepSpec(name),) for name in sorted(STEPS)},
    "all": (
        StepSpec("power", {"exponent": 0.7}),
        StepSpec("pca_whiten", {"components": 8}),
        StepSpec("database_augmentation"),
        StepSpec("alpha_query_expansion", {"neighbours": 5}),
    ),
}


def quiet(share: float, words: str) -> None:
    assert 0 <= share <= 1
    assert words


def vectors(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(10, DIM))
    return (centres[random.integers(10, size=count)] + 0.3 * random.normal(size=(count, DIM))).astype(
        np.float32
    )


@pytest.fixture
def engine(tmp_path: Path) -> FaissEngine:
    return FaissEngine(threads=1, folder=tmp_path)


@pytest.fixture(params=CASES)
def spec(request: pytest.FixtureRequest) -> IndexSpec:
    return IndexSpec(DIM, kind="ivf", parameters={"nlist": 4}, steps=CASES[request.param])


@pytest.fixture
def index(engine: FaissEngine, spec: IndexSpec) -> VectorIndex:
    made = engine.create(spec)
    made.add(np.arange(COUNT), vectors(COUNT, 1), sequence=1)
    made.optimize(quiet)
    return made


def test_it_finds_sorted_cosines_and_says_what_is_at_work(index: VectorIndex, spec: IndexSpec) -> None:
    keys, scores = index.search(vectors(20, 2), 10)
    assert (keys != NO_KEY).all()
    assert (np.abs(scores) <= 1).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    state = index.describe()
    assert state.steps == tuple(step.name for step in spec.steps)
    assert state.factory == "IVF4,Flat"
    assert index.due() == ""
    assert index.recall(5, 50, quiet) > 0.8


def test_its_vectors_are_those_that_came(index: VectorIndex) -> None:
    given = vectors(COUNT, 1)
    held = index.vectors(np.array([3, 200, 5000]))
    np.testing.assert_allclose(
        held[:2], given[[3, 200]] / np.linalg.norm(given[[3, 200]], axis=1)[:, None], atol=1e-6
    )
    assert np.isnan(held[2]).all()


def test_until_there_is_enough_to_learn_from_steps_that_learn_wait(
    engine: FaissEngine, spec: IndexSpec
) -> None:
    index = engine.create(spec)
    index.add(np.arange(5), vectors(5, 1), sequence=1)
    index.optimize(quiet)
    assert index.search(vectors(5, 1), 3)[0].shape == (5, 3)
    waiting = [name for name in index.describe().steps if "waits" in name]
    assert len(waiting) == sum(STEPS[step.name].fits for step in spec.steps)
    index.add(np.arange(100), vectors(100, 1), sequence=2)
    assert index.due()


def test_removed_and_replaced_vectors_are_so_at_once(index: VectorIndex) -> None:
    gone = np.arange(0, COUNT, 4)
    assert index.remove(gone, sequence=2) == len(gone)
    index.add(np.array([1, 2]), vectors(2, 77), sequence=3)
    for _ in range(2):
        assert (index.count, index.sequence) == (COUNT - len(gone), 3)
        keys, _ = index.search(vectors(COUNT, 1), COUNT)
        assert not np.isin(keys, gone).any()
        assert ((keys != NO_KEY).sum(axis=1) == COUNT - len(gone)).all()
        index.optimize(quiet)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_filters_and_exclusions_are_exact_in_effect(index: VectorIndex, share: float) -> None:
    allowed = np.flatnonzero(np.random.default_rng(3).random(COUNT) < share)
    exclude = [allowed[:2].tolist(), [], [7]]
    keys, _ = index.search(vectors(3, 4), 8, allowed=KeySet.of(allowed), exclude=exclude)
    for row in range(3):
        may = np.setdiff1d(allowed, exclude[row])
        found = keys[row][keys[row] != NO_KEY]
        assert len(np.unique(found)) == len(found) == min(8, len(may))
        assert np.isin(found, may).all()


def test_a_snapshot_holds_what_the_steps_learned(
    engine: FaissEngine, index: VectorIndex, spec: IndexSpec, tmp_path: Path
) -> None:
    index.add(np.array([900]), vectors(1, 5), sequence=8)
    assert index.snapshot(tmp_path / "snapshot").sequence == 8
    loaded = engine.load(spec, tmp_path / "snapshot")
    for one, other in zip(index.search(vectors(9, 6), 5), loaded.search(vectors(9, 6), 5), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(loaded.vectors(np.arange(5)), index.vectors(np.arange(5)))
    assert (loaded.sequence, loaded.describe().steps) == (8, index.describe().steps)
    damaged = bytearray((tmp_path / "snapshot").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "snapshot").write_bytes(damaged)
    with pytest.raises(DataLoss):
        engine.load(spec, tmp_path / "snapshot")


def test_reads_and_writes_go_on_while_it_is_optimized(index: VectorIndex) -> None:
    stop = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        while not stop.is_set():
            keys, scores = index.search(vectors(4, 8), 5)
            if (keys == NO_KEY).any() or np.isnan(scores).any():
                wrong.append("a hit is missing")

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            index.add(np.array([1000 + turn % 20]), vectors(1, turn), sequence=10 + turn)
            index.remove(np.array([1000 + (turn + 10) % 20]), sequence=10 + turn)

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        index.optimize(quiet)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong
    held = ~np.isnan(index.vectors(np.arange(1000, 1020))[:, 0])
    assert index.count == COUNT + held.sum()
    found = index.search(vectors(1, 9), COUNT + 20)[0]
    assert set(found[found >= 1000].tolist()) == set((1000 + np.flatnonzero(held)).tolist())


def test_equal_vectors_are_no_trouble(engine: FaissEngine, spec: IndexSpec) -> None:
    index = engine.create(spec)
    index.add(np.arange(50), np.tile(vectors(1, 1), (50, 1)), sequence=1)
    index.optimize(quiet)
    assert (index.search(vectors(3, 2), 5)[0] == np.arange(5)).all()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((StepSpec("nothing"),), "STEP_UNKNOWN"),
        ((StepSpec("power", {"exponent": 7}),), "STEP_INVALID"),
        ((StepSpec("power", {"root": 2}),), "STEP_INVALID"),
        ((StepSpec("pca_whiten", {"components": DIM + 1}),), "STEP_INVALID"),
        ((StepSpec("power"),) * 9, "STEP_INVALID"),
    ],
)
def test_steps_that_cannot_be_are_refused(
    engine: FaissEngine, steps: tuple[StepSpec, ...], reason: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        engine.validate(IndexSpec(DIM, steps=steps))
    assert caught.value.reason == reason
    with pytest.raises(InvalidArgument, match="cosine"):
        engine.validate(IndexSpec(DIM, metric="l2", steps=(StepSpec("power"),)))
