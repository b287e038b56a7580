"""`python -m benchmarks.indexes`: indexes beside bare FAISS, on the same structure in the same process.

Vectors lie in clusters, of 1280 values unless said. Engine and FAISS take turns, so that a noisy neighbour
hits both alike; ratios are medians over the rounds. One million vectors take long: ask with --sizes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import faiss
import numpy as np
from rich.console import Console
from rich.table import Table

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import find
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.indexes.faiss_index import FaissIndex
from penult_server.engine.indexes.structure import parameters

GOAL = 0.9
_K = 10
_ADD = 1000
_CENTRES, _NOISE = 100, 0.25
_PRODUCTS_FROM = faiss.cvar.distance_compute_blas_threshold


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one index."""

    size: int
    kind: str
    factory: str
    batched: float
    batched_ratio: float
    single_ms: float
    single_overhead_ms: float
    added: float
    built_s: float
    bytes_ratio: float
    recall: float


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser("python -m benchmarks.indexes", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="default: %(default)s")
    parser.add_argument("--kinds", default="flat,auto", help="default: %(default)s")
    parser.add_argument("--dim", type=int, default=1280, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=32, help="queries at once; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of FAISS")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="default: %(default)s")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="penult-indexes-") as folder:
        for size in map(int, options.sizes.split(",")):
            for kind in options.kinds.split(","):
                engine = FaissEngine(threads=options.threads, folder=Path(folder))
                rows.append(measure(engine, kind, size, options))
                console.print(rows[-1])
    table = Table("vectors", "kind", "structure", title="Indexes beside bare FAISS", title_justify="left")
    headings = (
        "queries/s",
        "to FAISS",
        "one query ms",
        "beyond FAISS ms",
        "added/s",
        "built s",
        "memory",
        "recall@10",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        met = "[green]" if row.batched_ratio >= GOAL else "[red]"
        table.add_row(
            f"{row.size:,}",
            row.kind,
            row.factory or "none",
            f"{row.batched:.0f}",
            f"{met}{row.batched_ratio:.2f}",
            f"{row.single_ms:.2f}",
            f"{row.single_overhead_ms:.2f}",
            f"{row.added:.0f}",
            f"{row.built_s:.0f}",
            f"{row.bytes_ratio:.2f}",
            f"{row.recall:.3f}",
        )
    console.print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "indexes.json").write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    return 0


def measure(engine: FaissEngine, kind: str, size: int, options: argparse.Namespace) -> Row:
    """Fills one index, optimises it, and races it against its own structure."""
    spec = IndexSpec(options.dim, kind=kind)
    find(spec)
    index = engine.create(spec)
    assert isinstance(index, FaissIndex)
    spent = 0.0
    for first in range(0, size, _ADD):
        vectors = clustered(min(_ADD, size - first), options.dim, seed=1 + first)
        start = time.perf_counter()
        index.add(np.arange(first, first + len(vectors)), vectors, sequence=first + 1)
        spent += time.perf_counter() - start
    start = time.perf_counter()
    state = index.optimize(lambda share, words: None)
    built = time.perf_counter() - start
    queries = clustered(options.batch * 4, options.dim, seed=0)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    bare = bare_search(index, options.threads)
    rates, ratios, singles, overheads = [], [], [], []
    for number in range(options.rounds + 1):
        ours = _seconds(lambda part: index.search(part, _K), queries, options.batch)
        theirs = _seconds(bare, queries, options.batch)
        one = _seconds(lambda part: index.search(part, _K), queries[:32], 1) / 32
        bare_one = _seconds(bare, queries[:32], 1) / 32
        if number:  # the first round warms up
            rates.append(len(queries) / ours)
            ratios.append(theirs / ours)
            singles.append(1000 * one)
            overheads.append(1000 * (one - bare_one))
    return Row(
        size,
        kind,
        state.factory,
        statistics.median(rates),
        statistics.median(ratios),
        statistics.median(singles),
        statistics.median(overheads),
        size / spent,
        built,
        index.bytes / (size * options.dim * 4),
        index.recall(_K, 200, lambda share, words: None),
    )


def bare_search(index: FaissIndex, threads: int) -> Callable[[np.ndarray], object]:
    """FAISS alone on the same structure with the same effort; an IndexFlatIP where there is none."""
    faiss.omp_set_num_threads(threads)
    structure = index.held().state.structure
    if structure is None:
        return bare_flat([index.vectors(index.keys())], index.spec.dim, threads)
    chosen = parameters(structure.index, structure.effort, None)
    return _as_it_comes(lambda part: structure.index.search(part, _K, params=chosen))


def bare_flat(parts: Iterable[np.ndarray], dim: int, threads: int) -> Callable[[np.ndarray], object]:
    """FAISS alone, comparing with every vector."""
    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(dim)
    for part in parts:
        flat.add(part)
    return _as_it_comes(lambda part: flat.search(part, _K))


def _as_it_comes(search: Callable[[np.ndarray], object]) -> Callable[[np.ndarray], object]:
    """With FAISS's own choice between products and pairs, which an engine in this process has changed."""

    def alone(part: np.ndarray) -> object:
        faiss.cvar.distance_compute_blas_threshold = _PRODUCTS_FROM
        return search(part)

    return alone


def clustered(count: int, dim: int, seed: int) -> np.ndarray:
    """float32 (count, dim) around common centres, as pictures of a few kinds are."""
    centres = np.random.default_rng(42).standard_normal((_CENTRES, dim), np.float32)
    basis = np.random.default_rng(43).standard_normal((16, dim), np.float32)
    random = np.random.default_rng(seed)
    within = random.standard_normal((count, 16), np.float32) @ basis / 4
    noise = 0.1 * random.standard_normal((count, dim), np.float32)
    return centres[random.integers(_CENTRES, size=count)] + _NOISE * within + noise


def _seconds(search: Callable[[np.ndarray], object], queries: np.ndarray, batch: int) -> float:
    start = time.perf_counter()
    for first in range(0, len(queries), batch):
        search(queries[first : first + batch])
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
