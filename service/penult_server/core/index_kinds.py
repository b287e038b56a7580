"""The words of indexes: metrics, what an index is made of, what its state is, and which vectors it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

Metric = Literal["cosine", "inner_product", "l2"]
"""`cosine` scores lie in [-1, 1], `inner_product` scores are the plain product: the larger the better. `l2`
scores are Euclidean distances, not squared: the smaller the better."""

AUTO = "auto"
"""The kind that starts exact and moves by itself as the collection grows."""
MAX_DIM = 65_536
MAX_K = 10_000
MAX_QUERIES = 4096
MAX_STEPS = 8
"""Most dimensions of a vector, hits a query, queries a call, and retrieval steps of an index."""
NO_KEY = -1
"""Stands for a missing hit; keys of items are not negative."""


@dataclasses.dataclass(frozen=True, slots=True)
class StepSpec:
    """One retrieval step: a registered name, and parameters for its model."""

    name: str
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an index is made of. `IndexEngine.validate` says whether it can be.

    `kind` and `parameters` name a registered kind and fill its model; `steps` are applied in order.
    `memory_bytes` is what the index may hold in memory, 0 for no bound: `auto` chooses within it.
    """

    dim: int
    metric: Metric = "cosine"
    kind: str = AUTO
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    steps: tuple[StepSpec, ...] = ()
    memory_bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class IndexState:
    """An index as it is now.

    `kind` is the one at work, which under `auto` changes; `factory` is its FAISS factory string, `why`
    the reason for the choice in words. `trained_on` counts the vectors that the kind was trained on.
    `tombstones` are removed or replaced vectors whose space is not reclaimed yet, `pending` vectors
    that are searched exactly because the kind's structure does not hold them yet. `recall_at_10` is
    measured against exact search on a sample, and None where it has not been.
    """

    kind: str
    factory: str
    why: str
    count: int
    bytes: int
    trained_on: int
    tombstones: int
    pending: int
    recall_at_10: float | None
    device: str
    sequence: int
    search: Mapping[str, int] = dataclasses.field(default_factory=dict)
    steps: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """A snapshot file that was written: its size, sha256 and the sequence number it holds."""

    bytes: int
    sha256: str
    sequence: int


@dataclasses.dataclass(frozen=True, slots=True)
class KeySet:
    """Keys that a search may return: int64 (N,), rising, each once. Make it with `of`."""

    keys: np.ndarray

    @classmethod
    def of(cls, keys: Sequence[int] | np.ndarray) -> KeySet:
        """From keys in any order, with repeats or without."""
        return cls(np.unique(np.asarray(keys, np.int64)))

    def __len__(self) -> int:
        return len(self.keys)


Fault: TypeAlias = tuple[int, str, str]
"""Position of a vector among those of a call, a stable reason, and a message."""


def faults(vectors: np.ndarray, spec: IndexSpec) -> list[Fault]:
    """Which of some vectors, float (N, any), an index of this spec cannot take, one fault a vector."""
    if vectors.shape[-1] != spec.dim:
        message = f"it has {vectors.shape[-1]} values, the index takes {spec.dim}"
        return [(row, "DIMENSION_MISMATCH", message) for row in range(len(vectors))]
    with np.errstate(over="ignore", invalid="ignore"):
        as_stored = vectors.astype(np.float32, copy=False)
        squares = np.einsum("ij,ij->i", as_stored, as_stored)
    if ((squares > 0) & np.isfinite(squares)).all():  # nearly always, and quickly told
        return []
    largest = np.abs(as_stored).max(axis=1, initial=0.0)
    not_finite = np.flatnonzero(~np.isfinite(largest))
    zero = np.flatnonzero((largest == 0) & (spec.metric == "cosine"))
    return sorted(
        [(int(row), "VECTOR_NOT_FINITE", "it holds NaN or infinity as float32") for row in not_finite]
        + [(int(row), "VECTOR_ZERO", "a vector of zeros has no direction, so no cosine") for row in zero]
    )
