"""A FAISS index that was built over some rows, and how it is asked."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import faiss
import numpy as np

from penult_server.core.index_kinds import Metric
from penult_server.engine.indexes import lists
from penult_server.engine.indexes.gpu import GpuCopy

# Candidates that the probed lists should hold for each one that is asked for.
_LISTED = 4
# Most that a filter may raise the effort; past it the exact scan steps in anyway.
_MOST_EFFORT = 64


def faiss_metric(metric: Metric) -> int:
    """FAISS's number for a metric; cosine is the product of normalised vectors."""
    return int(faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT)


def make(dim: int, factory: str, metric: Metric) -> faiss.Index:
    """An empty index. Raises RuntimeError for a string that FAISS does not understand."""
    index = faiss.index_factory(dim, factory, faiss_metric(metric))
    inner = innermost(index)
    if hasattr(inner, "do_polysemous_training"):
        inner.do_polysemous_training = False  # minutes of training for a filter that nothing here uses
    return index


def innermost(index: faiss.Index) -> faiss.Index:
    """The index inside of vector transforms, as its own type."""
    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index


def effort_of(index: faiss.Index) -> str:
    """The name of the parameter that trades speed for recall, empty where there is none."""
    inner = innermost(index)
    if isinstance(inner, faiss.IndexIVF):
        return "nprobe"
    return "efSearch" if isinstance(inner, faiss.IndexHNSW) else ""


def measured_bytes(index: faiss.Index) -> int:
    """Memory of a FAISS index, as the size of what it writes."""
    writer = _Counter()
    faiss.write_index(index, faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(writer.count)))
    return writer.bytes


class _Counter:
    def __init__(self) -> None:
        self.bytes = 0

    def count(self, data: bytes) -> int:
        self.bytes += len(data)
        return len(data)


@dataclasses.dataclass(frozen=True, slots=True)
class Structure:
    """A FAISS index over rows 0 to size - 1, which are its ids. It is never changed.

    `effort` is nprobe or efSearch, 0 where there is neither. `rerank` candidates are proposed for each
    hit that is asked for. `exact_scores` says that FAISS's own distances are those of the rows. `selects`
    says whether it honours selectors. `gpu` serves searches without a selector, where there is one.
    """

    index: faiss.Index
    size: int
    bytes: int
    effort: int = 0
    rerank: int = 1
    exact_scores: bool = False
    selects: bool = True
    gpu: GpuCopy | None = None

    def candidates(
        self, queries: np.ndarray, k: int, may: np.ndarray | None, threads: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows that may be among the k best, int64 (Q, k * rerank at most), and FAISS's distances.

        `may`, bool (size,), says which rows can be found; None says all. -1 ends short lists. With 0
        `threads`, FAISS takes its own.
        """
        k = min(k * self.rerank, self.size)
        if may is not None and not self.selects:
            return np.full((len(queries), 1), -1, np.int64), np.zeros((len(queries), 1), np.float32)
        share = 1.0 if may is None else max(float(may.mean()), 1 / self.size)
        effort = self.effort_for(k, share)
        if self.gpu is not None and may is None:
            found = self.gpu.search(queries, k, effort)
            if found is not None:
                return found[1], found[0]
        selector = None
        if may is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))
        chosen = parameters(self.index, effort, selector)
        if threads and isinstance(index := faiss.downcast_index(self.index), faiss.IndexIVF):
            distances, rows = lists.search(index, queries, k, chosen, threads)
        else:
            distances, rows = self.index.search(queries, k, params=chosen)
        return rows, distances

    def effort_for(self, k: int, share: float) -> int:
        """The effort for k candidates of which a share can be found."""
        inner = innermost(self.index)
        raised = math.ceil(self.effort * min(_MOST_EFFORT, 1 / share))
        if isinstance(inner, faiss.IndexIVF):
            enough = math.ceil(_LISTED * k * inner.nlist / (self.size * share))
            return min(int(inner.nlist), max(raised, enough))
        return max(raised, k) if isinstance(inner, faiss.IndexHNSW) else 0


def parameters(index: faiss.Index, effort: int, selector: Any) -> Any:
    """FAISS's search parameters for an index: its own type for each type of index."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=parameters(index.index, effort, selector))
    chosen = {} if selector is None else {"sel": selector}
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=effort or index.nprobe, **chosen)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=effort or index.hnsw.efSearch, **chosen)
    return faiss.SearchParameters(**chosen) if chosen else None


@dataclasses.dataclass(frozen=True, slots=True)
class StructureBlock:
    """The rows that a structure holds itself, as near to exact as its codes are."""

    index: faiss.Index
    bytes: int = 0

    def part(self, first: int, last: int) -> np.ndarray:
        """See Block."""
        return self.gather(np.arange(first, last))

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """See Block."""
        gathered: np.ndarray = self.index.reconstruct_batch(np.ascontiguousarray(positions, np.int64))
        return gathered
