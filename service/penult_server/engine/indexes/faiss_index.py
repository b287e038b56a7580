"""An index: rows that only grow, a structure over the older ones, and the state that ties them together."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import NO_KEY, IndexSpec, IndexState, KeySet, SnapshotFacts, faults
from penult_server.core.index_ports import Report
from penult_server.engine.indexes import snapshot
from penult_server.engine.indexes.build import Built, Held, build, carry_over, plans_for
from penult_server.engine.indexes.columns import Column
from penult_server.engine.indexes.exact import NOTHING, as_goodness, as_scores, prepare
from penult_server.engine.indexes.measure import recall
from penult_server.engine.indexes.search import Wanted, search
from penult_server.engine.indexes.slots import Slots, living_rows, many
from penult_server.engine.indexes.state import State

# Dead or pending rows below this number, or this share of all, are not worth a rebuild.
_WORTH_ROWS = 1000
_WORTH_SHARE = 0.2
# Growth or shrinkage after which another structure is worth building.
_MUCH = 4
# Queries at once from which a matrix product beats FAISS's loop over pairs, up to ten times, whatever their
# length (docs/performance.md). FAISS itself takes products from 128,000 values on, 100 queries of 1280.
_PRODUCTS_FROM = 4


class FaissIndex:
    """Implements core.index_ports.VectorIndex."""

    def __init__(self, spec: IndexSpec, built: Built, *, threads: int, folder: Path | None = None) -> None:
        """Takes over what was built. `threads` of FAISS serve a search; `folder` takes rows on disk."""
        self._spec = spec
        self._threads = threads
        self._folder = folder
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()
        self._swap = threading.Lock()  # held for moments: state and slots change together
        self._state: State
        self._take(built)

    @property
    def spec(self) -> IndexSpec:
        """See VectorIndex."""
        return self._spec

    @property
    def kind(self) -> str:
        """See VectorIndex."""
        return self._facts.kind

    @property
    def count(self) -> int:
        """See VectorIndex."""
        return self._state.count

    @property
    def sequence(self) -> int:
        """See VectorIndex."""
        return self._state.sequence

    @property
    def bytes(self) -> int:
        """See VectorIndex."""
        structure = self._state.structure
        column_bytes = self._state.keys.nbytes + self._state.alive.nbytes
        return self._rows.bytes + column_bytes + self._slots.bytes + (structure.bytes if structure else 0)

    def add(self, keys: np.ndarray, vectors: np.ndarray, *, sequence: int) -> None:
        """See VectorIndex."""
        _check(keys, vectors, self._spec)
        prepared = prepare(vectors, self._spec.metric)
        with self._writing:
            state = self._state
            first = state.rows.count
            self._rows.append(prepared)
            replaced = self._slots.find_each(keys)
            self._alive.clear(replaced[replaced >= 0])
            with self._swap:
                self._slots.put(keys, first)
                self._state = dataclasses.replace(
                    state,
                    rows=self._rows.view(),
                    keys=self._keys.append(keys),
                    alive=self._alive.append(np.ones(len(keys), bool)),
                    count=state.count + int(np.count_nonzero(replaced < 0)),
                    sequence=sequence,
                )

    def remove(self, keys: np.ndarray, *, sequence: int) -> int:
        """See VectorIndex."""
        keys = np.unique(np.asarray(keys, np.int64))
        with self._writing:
            rows = self._slots.find(keys.tolist())
            alive = self._alive.clear(rows)
            with self._swap:
                self._slots.drop(keys)
                self._state = dataclasses.replace(
                    self._state, alive=alive, count=self._state.count - len(rows), sequence=sequence
                )
        return len(rows)

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        allowed: KeySet | None = None,
        exclude: Sequence[Sequence[int]] = (),
        min_score: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See VectorIndex."""
        prepared = prepare_queries(queries, self._spec)
        # Holds for the calling thread alone. FAISS gives a query to one thread; others would only spin.
        faiss.omp_set_num_threads(min(self._threads, max(1, len(queries))))
        # Holds for the process; where another index sets its own in between, a search is slower and no other.
        faiss.cvar.distance_compute_blas_threshold = _PRODUCTS_FROM * self._spec.dim
        with self._swap:
            state = self._state
            excluded = [self._slots.find(keys) for keys in exclude]
            few = None if allowed is None or many(allowed.keys) else self._slots.find(allowed.keys.tolist())
        may = few if few is None else np.sort(few)
        if allowed is not None and may is None:
            may = living_rows(state.keys, state.alive, allowed.keys)
        wanted = Wanted(prepared, k, may, excluded, self._threads)
        rows, good = search(state, wanted)
        missing = rows == NOTHING
        scores = as_scores(good, self._spec.metric)
        if min_score is not None:
            missing |= good < as_goodness(min_score, self._spec.metric)
        if not missing.any():
            return state.keys[rows], scores
        hits = np.where(missing, NO_KEY, state.keys[rows] if len(state.keys) else NO_KEY)
        return hits, np.where(missing, np.float32(np.nan), scores).astype(np.float32, copy=False)

    def vectors(self, keys: np.ndarray) -> np.ndarray:
        """See VectorIndex."""
        with self._swap:
            state = self._state
            rows = self._slots.find_each(np.asarray(keys, np.int64))
        held = np.full((len(rows), self._spec.dim), np.nan, np.float32)
        if (rows >= 0).any():
            held[rows >= 0] = state.rows.gather(rows[rows >= 0])
        return held

    def snapshot(self, path: Path) -> SnapshotFacts:
        """See VectorIndex."""
        return snapshot.write(path, self.held())

    def held(self) -> Held:
        """All that it holds now."""
        with self._swap:
            return Held(self._spec, self._state, self._facts)

    def keys(self) -> np.ndarray:
        """Every key that it holds, int64 (count,)."""
        state = self._state
        return state.keys[state.alive]

    def due(self) -> str:
        """See VectorIndex."""
        with self._swap:
            state, facts = self._state, self._facts
        plan = plans_for(self._spec, state.count)[0]
        worth = max(_WORTH_ROWS, _WORTH_SHARE * state.count)
        grown = not facts.built_for / _MUCH < state.count < facts.built_for * _MUCH
        if plan.factory != facts.planned and (grown or not facts.planned):
            return f"{plan.factory or plan.kind} fits better now: {plan.why}"
        if state.structure and state.pending > worth:
            return f"{state.pending} vectors are searched one by one"
        return f"{state.dead} removed vectors take space" if state.dead > worth else ""

    def optimize(self, report: Report) -> IndexState:
        """See VectorIndex."""
        with self._optimizing:
            faiss.omp_set_num_threads(self._threads)
            with self._writing:
                sealed, state = self._rows.seal(), self._state
            built, order = build(self._spec, state, self._folder, report)
            with self._writing:
                self._take(carry_over(built, order, self._state, sealed))
        return self.describe()

    def recall(self, k: int, sample: int, report: Report) -> float:
        """See VectorIndex."""
        faiss.omp_set_num_threads(self._threads)
        return recall(self._state, k, sample, report)

    def describe(self) -> IndexState:
        """See VectorIndex."""
        with self._swap:
            state, facts = self._state, self._facts
        return IndexState(
            kind=facts.kind,
            factory=facts.factory,
            why=facts.why,
            count=state.count,
            bytes=self.bytes,
            trained_on=facts.trained_on,
            tombstones=state.dead,
            pending=state.pending if state.structure else 0,
            recall_at_10=facts.recall_at_10,
            device=facts.device,
            sequence=state.sequence,
            search=facts.search,
        )

    def _take(self, built: Built) -> None:
        slots = Slots(built.keys[built.alive], np.flatnonzero(built.alive))
        with self._swap:
            self._rows, self._slots, self._facts = built.rows, slots, built.facts
            self._keys, self._alive = Column(built.keys), Column(built.alive)
            self._state = State(
                self._spec.metric,
                built.rows.view(),
                self._keys.view(),
                self._alive.view(),
                int(np.count_nonzero(built.alive)),
                built.sequence,
                built.structure,
            )


def prepare_queries(queries: np.ndarray, spec: IndexSpec) -> np.ndarray:
    """Queries as they are compared. Raises InvalidArgument for the first that cannot be."""
    wrong = faults(queries, spec)
    if wrong:
        raise InvalidArgument(wrong[0][1], f"query {wrong[0][0]}: {wrong[0][2]}", field="queries")
    return prepare(queries, spec.metric)


def _check(keys: np.ndarray, vectors: np.ndarray, spec: IndexSpec) -> None:
    wrong = faults(vectors, spec)
    if wrong:
        raise InvalidArgument("VECTOR_INVALID", f"vector {wrong[0][0]}: {wrong[0][2]}", field="vectors")
    if len(keys) != len(vectors) or len(np.unique(keys)) != len(keys) or (len(keys) and keys.min() < 0):
        raise InvalidArgument("VECTOR_INVALID", "keys must be as many as vectors, each once, not negative")
