"""The contract between indexes in core and the engine that searches them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from penult_server.core.index_kinds import IndexSpec, IndexState, KeySet, SnapshotFacts

Report: TypeAlias = Callable[[float, str], None]
"""Hears of progress, 0 to 1, with words. What it raises abandons the work and leaves the index as it was."""


class VectorIndex(Protocol):
    """Vectors under int64 keys, not negative, in memory. Blocking and thread-safe.

    Reads run beside each other and beside one write; each sees the index as it was between two writes.
    Writes and `optimize` may be called from any thread; they wait for each other only as long as a
    write takes. A write that raises has changed nothing.
    """

    @property
    def spec(self) -> IndexSpec:
        """What it was made of."""
        ...

    @property
    def kind(self) -> str:
        """What answers at the moment, such as "flat"; never "auto". Does not wait."""
        ...

    @property
    def count(self) -> int:
        """Vectors that a search can find."""
        ...

    @property
    def bytes(self) -> int:
        """Memory it holds."""
        ...

    @property
    def sequence(self) -> int:
        """The sequence number of the last write it holds; 0 at first."""
        ...

    def add(self, keys: np.ndarray, vectors: np.ndarray, *, sequence: int) -> None:
        """Puts vectors in, each in the place of what its key held before; found by the next search.

        Args:
            keys: int64 (N,), each once.
            vectors: float32 (N, dim), finite and, for cosine, not zero.
            sequence: becomes `sequence`, together with the vectors.

        Raises:
            InvalidArgument: VECTOR_INVALID, for keys or vectors that are not so.
        """
        ...

    def remove(self, keys: np.ndarray, *, sequence: int) -> int:
        """Takes vectors out; the next search does not find them. Says how many there were."""
        ...

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        allowed: KeySet | None = None,
        exclude: Sequence[Sequence[int]] = (),
        min_score: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best for each query, best first, equal scores by rising key.

        `allowed` and `exclude` are exact in their effect: where at least k vectors are left, k are
        returned, whatever the kind.

        Args:
            queries: float32 (Q, dim), finite and, for cosine, not zero.
            k: hits a query, at least 1.
            allowed: only these keys; None allows all.
            exclude: for each query the keys that it must not return; empty excludes nothing.
            min_score: the least score of a hit; for l2 the largest distance.

        Returns:
            Keys int64 (Q, k), padded at the end with NO_KEY, and scores float32 (Q, k) as core.index_kinds
            says, NaN where there is no hit.
        """
        ...

    def vectors(self, keys: np.ndarray) -> np.ndarray:
        """What it holds under some keys, float32 (N, dim): normalised for cosine; NaN rows for none."""
        ...

    def snapshot(self, path: Path) -> SnapshotFacts:
        """Writes all it holds to one file, in one step and durably, while reads and writes go on.

        Raises:
            ResourceExhausted: DISK_FULL; what was at `path` is still there.
        """
        ...

    def due(self) -> str:
        """Why `optimize` is worth its while now, in words; empty where it is not. Cheap: ask after writes."""
        ...

    def optimize(self, report: Report) -> IndexState:
        """Puts everything into the structure that fits best now, reclaims space, measures recall.

        It may take minutes. Reads and writes go on meanwhile, and take their new form at the end.

        Raises:
            ResourceExhausted: MEMORY_BUDGET, where the kind that was asked for cannot fit.
        """
        ...

    def recall(self, k: int, sample: int, report: Report) -> float:
        """Recall@k against exact search; `sample` of its own vectors are queries that exclude themselves."""
        ...

    def describe(self) -> IndexState:
        """Its state. Cheap."""
        ...


class IndexEngine(Protocol):
    """Makes indexes. Blocking."""

    def kinds(self) -> Sequence[str]:
        """Names of the registered kinds, `auto` among them."""
        ...

    def steps(self) -> Sequence[str]:
        """Names of the registered retrieval steps."""
        ...

    def validate(self, spec: IndexSpec) -> None:
        """Checks that such an index can be made and do all that VectorIndex promises.

        Raises:
            InvalidArgument: INDEX_KIND_UNKNOWN, INDEX_PARAMETERS_INVALID, FACTORY_INVALID,
                FACTORY_UNSUPPORTED (it says what the string cannot do), STEP_UNKNOWN, STEP_INVALID.
        """
        ...

    def create(self, spec: IndexSpec) -> VectorIndex:
        """An empty index. Raises what `validate` does."""
        ...

    def load(self, spec: IndexSpec, path: Path) -> VectorIndex:
        """An index from a snapshot file.

        Raises:
            NotFound: INDEX_SNAPSHOT_MISSING.
            DataLoss: INDEX_SNAPSHOT_DAMAGED, for a wrong checksum, a truncated file, another spec or
                another version of the format: the caller builds it anew from its rows.
        """
        ...
