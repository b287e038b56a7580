"""An index with retrieval steps: an index of the changed vectors, and one of the vectors as they came.

The latter lies on disk, where there is a folder for it: it is read again only when the steps learn anew.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from penult_server.core.index_kinds import NO_KEY, IndexSpec, IndexState, KeySet, SnapshotFacts
from penult_server.core.index_ports import Report
from penult_server.engine.indexes.faiss_index import FaissIndex, prepare_queries
from penult_server.engine.retrieval import stepped_snapshot
from penult_server.engine.retrieval.base import Chain, Neighbours, Step, make_steps

_PIECE = 4096
# Most vectors that steps learn from.
_MOST_TO_FIT = 100_000
# Fewer vectors than this teach nothing.
LEAST_TO_FIT = 16
# Growth after which the steps learn anew.
_MUCH = 4
_SEED = 1
# Shares of the progress.
_FITTED, _FILLED = 0.1, 0.4

MakeIndex = Callable[[IndexSpec], FaissIndex]


@dataclasses.dataclass(frozen=True, slots=True)
class Serving:
    """What answers searches: changed vectors, the steps that changed them, and how many they learned from."""

    index: FaissIndex
    chain: Chain
    learned_from: int = 0


class SteppedIndex:
    """Implements core.index_ports.VectorIndex."""

    def __init__(
        self, spec: IndexSpec, originals: FaissIndex, serving: Serving, make_index: MakeIndex
    ) -> None:
        """Takes over both indexes, which hold the same keys; `make_index` makes another one for vectors."""
        self._spec = spec
        self._steps: Sequence[Step] = make_steps(spec)
        self._originals = originals
        self._serving = serving
        self._make_index = make_index
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()
        self._missed: list[tuple[np.ndarray, np.ndarray | None]] | None = None

    @property
    def spec(self) -> IndexSpec:
        """See VectorIndex."""
        return self._spec

    @property
    def kind(self) -> str:
        """See VectorIndex."""
        return self._serving.index.kind

    @property
    def count(self) -> int:
        """See VectorIndex."""
        return self._serving.index.count

    @property
    def bytes(self) -> int:
        """See VectorIndex."""
        return self._originals.bytes + self._serving.index.bytes

    @property
    def sequence(self) -> int:
        """See VectorIndex."""
        return self._originals.sequence

    def add(self, keys: np.ndarray, vectors: np.ndarray, *, sequence: int) -> None:
        """See VectorIndex."""
        with self._writing:
            self._originals.add(keys, vectors, sequence=sequence)
            changed = self._serving.chain.transform(self._originals.vectors(keys))
            self._serving.index.add(keys, changed, sequence=sequence)
            if self._missed is not None:
                self._missed.append((keys, self._originals.vectors(keys)))

    def remove(self, keys: np.ndarray, *, sequence: int) -> int:
        """See VectorIndex."""
        with self._writing:
            self._originals.remove(keys, sequence=sequence)
            if self._missed is not None:
                self._missed.append((np.asarray(keys, np.int64), None))
            return self._serving.index.remove(keys, sequence=sequence)

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        allowed: KeySet | None = None,
        exclude: Sequence[Sequence[int]] = (),
        min_score: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See VectorIndex. Scores are those of the changed vectors."""
        serving = self._serving
        prepared = prepare_queries(queries, self._spec)
        changed = serving.chain.transform(prepared)
        if serving.chain.complete:
            changed = serving.chain.expand(changed, _neighbours(serving.index, allowed, exclude))
        return serving.index.search(changed, k, allowed=allowed, exclude=exclude, min_score=min_score)

    def vectors(self, keys: np.ndarray) -> np.ndarray:
        """See VectorIndex. The vectors as they came."""
        return self._originals.vectors(keys)

    def snapshot(self, path: Path) -> SnapshotFacts:
        """See VectorIndex."""
        with self._writing:
            originals, serving = self._originals.held(), self._serving
            held = serving.index.held()
        return stepped_snapshot.write(path, self._spec, originals, held, serving.chain, serving.learned_from)

    def due(self) -> str:
        """See VectorIndex."""
        serving = self._serving
        if serving.index.count >= LEAST_TO_FIT and serving.index.count >= _MUCH * serving.learned_from:
            return f"the steps learned from {serving.learned_from} vectors, there are {serving.index.count}"
        return serving.index.due()

    def optimize(self, report: Report) -> IndexState:
        """See VectorIndex. The steps learn anew from the collection as it is now."""
        with self._optimizing:
            try:
                self._renew(report)
            finally:
                self._missed = None
        return self.describe()

    def recall(self, k: int, sample: int, report: Report) -> float:
        """See VectorIndex. Of changed vectors, by changed vectors."""
        return self._serving.index.recall(k, sample, report)

    def describe(self) -> IndexState:
        """See VectorIndex."""
        serving = self._serving
        names = tuple(
            step.name if fitted is not None else f"{step.name} (waits for optimize)"
            for step, fitted in zip(serving.chain.steps, serving.chain.fitted, strict=True)
        )
        return dataclasses.replace(
            serving.index.describe(), bytes=self.bytes, sequence=self.sequence, steps=names
        )

    def _renew(self, report: Report) -> None:
        self._originals.optimize(lambda share, words: report(0.0, words))
        with self._writing:
            self._missed = []
            keys = self._originals.keys()
            sequence = self._originals.sequence
        chain = Chain.unfitted(self._steps)
        if len(keys) >= LEAST_TO_FIT:
            sample = np.random.default_rng(_SEED).permutation(keys)[:_MOST_TO_FIT]
            report(0.0, f"learning from {len(sample)} vectors")
            vectors = self._originals.vectors(np.sort(sample))
            chain = Chain.fit(self._steps, vectors[~np.isnan(vectors[:, 0])])
        report(_FITTED, "changing vectors")
        index = self._make_index(self._inner_spec(chain))
        self._fill(index, keys, chain, sequence, report)
        if chain.complete and any(step.augments for step in self._steps) and len(keys):
            augmented = self._make_index(index.spec)
            for first in range(0, len(keys), _PIECE):
                part = keys[first : first + _PIECE]
                vectors = index.vectors(part)
                there = ~np.isnan(vectors[:, 0])
                augmented.add(
                    part[there], chain.augment(vectors[there], _neighbours(index)), sequence=sequence
                )
            index = augmented
        index.optimize(lambda share, words: report(_FILLED + share * (1 - _FILLED), words))
        with self._writing:
            for missed, put in self._missed or ():
                if put is None:
                    index.remove(missed, sequence=self._originals.sequence)
                else:
                    index.add(missed, chain.transform(put), sequence=self._originals.sequence)
            self._serving = Serving(index, chain, len(keys))

    def _fill(self, index: FaissIndex, keys: np.ndarray, chain: Chain, sequence: int, report: Report) -> None:
        for first in range(0, len(keys), _PIECE):
            part = keys[first : first + _PIECE]
            vectors = self._originals.vectors(part)
            there = ~np.isnan(vectors[:, 0])  # what was removed meanwhile is among the missed writes too
            index.add(part[there], chain.transform(vectors[there]), sequence=sequence)
            share = min(1.0, (first + _PIECE) / len(keys))
            report(_FITTED + share * (_FILLED - _FITTED), "changing vectors")

    def _inner_spec(self, chain: Chain) -> IndexSpec:
        dim = chain.transform(np.ones((1, self._spec.dim), np.float32)).shape[1]
        return dataclasses.replace(self._spec, dim=dim, steps=())


def _neighbours(
    index: FaissIndex, allowed: KeySet | None = None, exclude: Sequence[Sequence[int]] = ()
) -> Neighbours:
    def find(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        keys, scores = index.search(queries, k, allowed=allowed, exclude=exclude)
        found = index.vectors(keys.reshape(-1)).reshape(*keys.shape, -1)
        scores = np.where((keys == NO_KEY) | np.isnan(found[:, :, 0]), np.nan, scores)
        return np.nan_to_num(found), scores

    return find
