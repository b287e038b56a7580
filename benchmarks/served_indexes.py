"""`python -m benchmarks.served_indexes`: searches through gRPC beside FAISS on the same structure.

A server with default settings in a process of its own is filled through the SDK, then asked; FAISS gets the
server's own snapshot file in this process. Both take turns, so that a noisy neighbour hits both alike;
ratios are medians over the rounds. One million vectors take long, and 5 GB for each side: ask with --sizes;
--keep FOLDER leaves the filled index there for the next time.

On a machine that has other work too, clocks tell little, and FAISS's threads spin while they wait for a core.
Then hold both sides to one core (`taskset -c 0`), where FAISS has one thread, and read the processor time:
that of server and client together, less that of FAISS alone.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import penult
from benchmarks.indexes import bare_flat, bare_search, clustered
from benchmarks.process import Timing, cpu_seconds, timed
from benchmarks.server_process import running_server
from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.indexes.faiss_index import FaissIndex
from penult_server.engine.indexes.snapshot_file import reading

GOAL_RATIO, GOAL_MS = 0.9, 1.0
_K = 10
_ADD = 2000
_SINGLES = 64
_PATIENCE = 3600


@dataclasses.dataclass(frozen=True, slots=True)
class Race:
    """Through gRPC beside bare FAISS: `_cpu_ms` is processor time of server and client beyond FAISS's."""

    batched: float
    batched_ratio: float
    single_ms: float
    single_overhead_ms: float
    batch_cpu_ms: float
    single_cpu_ms: float


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one index."""

    size: int
    kind: str
    structure: str
    added: float
    race: Race
    memory: float
    recall: float
    start_s: float
    source: str


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser("python -m benchmarks.served_indexes", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="default: %(default)s")
    parser.add_argument("--kinds", default="flat,auto", help="default: %(default)s")
    parser.add_argument("--dim", type=int, default=1280, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=256, help="queries at once; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--keep", type=Path, help="a folder for filled indexes, which are used again")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), help="default: %(default)s")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = []
    for size in map(int, options.sizes.split(",")):
        for kind in options.kinds.split(","):
            rows.append(measure(kind, size, options))
            console.print(rows[-1])
    console.print(_table(rows))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "served_indexes.json").write_text(
        json.dumps([dataclasses.asdict(row) for row in rows], indent=2)
    )
    return 0


def measure(kind: str, size: int, options: argparse.Namespace) -> Row:
    """Fills one index on a server of its own unless that is done, races it, and starts the server again."""
    with _folder(options.keep, f"{kind}-{size}-{options.dim}") as folder:
        data, filled = folder / "data", folder / "added"
        with _client(data) as (client, server):
            if not filled.exists():
                added = _fill(client.indexes.create("bench", dim=options.dim, kind=kind), size, options.dim)
                client.indexes.get("bench").optimize().result(timeout=_PATIENCE)
                filled.write_text(str(added))
            index = _loaded(client)
            while (stats := index.stats()).snapshot_sequence < stats.sequence:
                time.sleep(0.5)
            [snapshot] = (data / "indexes").glob("*.snapshot")
            bare = _bare(snapshot, IndexSpec(options.dim, kind=kind))
            raced = _race(index, bare, server, options)
            del bare
        with _client(data) as (client, _):
            again = _loaded(client).stats()
        added = float(filled.read_text())
    return Row(
        size, kind, stats.factory or "none", added, raced, stats.memory_bytes / stats.vector_bytes,
        float("nan") if stats.recall_at_10 is None else stats.recall_at_10,
        again.load_seconds, again.loaded_from,
    )  # fmt: skip


@contextlib.contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="penult-served-") as folder:
            yield Path(folder)
        return
    (keep / name).mkdir(parents=True, exist_ok=True)
    yield keep / name


def _loaded(client: penult.Client) -> penult.Index:
    """The index, once it can be searched."""
    while (index := client.indexes.get("bench")).phase == "loading":
        time.sleep(0.1)
    return index


def _bare(snapshot: Path, spec: IndexSpec) -> Callable[[np.ndarray], object]:
    """FAISS alone on what a snapshot file holds; one that has no structure is never in memory twice."""
    with reading(snapshot) as reader:
        header = reader.header()
        if header["structure"] is None:
            for dtype in ("int64", "bool"):  # keys, and which rows live
                reader.array((header["rows"],), dtype)
            parts = (reader.array((block["rows"], spec.dim), block["dtype"]) for block in header["blocks"])
            return bare_flat(parts, spec.dim, _cores())
    same = FaissEngine(threads=_cores()).load(spec, snapshot)
    assert isinstance(same, FaissIndex)
    return bare_search(same, _cores())


@contextlib.contextmanager
def _client(data: Path) -> Iterator[tuple[penult.Client, int]]:
    """A client, and the process of its server."""
    with (
        running_server("--data-dir", str(data), "--no-allow-download") as (target, server),
        penult.Client(target, timeout=_PATIENCE) as client,
    ):
        yield client, server


def _fill(index: penult.Index, size: int, dim: int) -> float:
    """Items a second, acknowledged as durable; making the vectors is not counted."""
    spent = 0.0
    for first in range(0, size, _ADD):
        vectors = clustered(min(_ADD, size - first), dim, seed=1 + first)
        ids = [f"item-{n}" for n in range(first, first + len(vectors))]
        start = time.perf_counter()
        index.add_vectors(vectors, ids=ids, metadata=({"n": n} for n in range(first, first + len(vectors))))
        spent += time.perf_counter() - start
    return size / spent


def _race(
    index: penult.Index, bare: Callable[[np.ndarray], object], server: int, options: argparse.Namespace
) -> Race:
    """Both sides in turns."""
    queries = clustered(options.batch * 4, options.dim, seed=0)
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    turns: list[Callable[[], Timing]] = [
        lambda: _timed(lambda part: index.search(vector=part, k=_K), queries, options.batch, server),
        lambda: _timed(bare, unit, options.batch, server),
        lambda: _timed(lambda part: index.search(vector=part[0], k=_K), queries[:_SINGLES], 1, server),
        lambda: _timed(bare, unit[:_SINGLES], 1, server),
    ]
    rounds = []
    for number in range(options.rounds + 1):
        order = range(len(turns)) if number % 2 else reversed(range(len(turns)))
        timings = {turn: turns[turn]() for turn in order}
        ours, theirs, one, bare_one = (timings[turn] for turn in range(len(turns)))
        rounds.append((
            len(queries) / ours.wall,
            theirs.wall / ours.wall,
            1000 * one.wall / _SINGLES,
            1000 * (one.wall - bare_one.wall) / _SINGLES,
            1000 * (ours.cpu - theirs.cpu) * options.batch / len(queries),
            1000 * (one.cpu - bare_one.cpu) / _SINGLES,
        ))  # fmt: skip
    # The first round warms up.
    return Race(*(statistics.median(column) for column in zip(*rounds[1:], strict=True)))


def _timed(search: Callable[[np.ndarray], object], queries: np.ndarray, batch: int, server: int) -> Timing:
    """Of all queries in batches: the clock, and the processor time of this process and the server's."""
    before = cpu_seconds(server)

    def every() -> None:
        for first in range(0, len(queries), batch):
            search(queries[first : first + batch])

    here = timed(len(queries), every)
    return dataclasses.replace(here, cpu=here.cpu + cpu_seconds(server) - before)


def _table(rows: list[Row]) -> Table:
    table = Table("vectors", "kind", "structure", title="Indexes through gRPC", title_justify="left")
    for heading in (
        "added/s", "queries/s", "to FAISS", "batch beyond FAISS, CPU ms", "one query ms", "beyond FAISS ms",
        "CPU ms", "memory", "recall@10", "start s",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for row in rows:
        race = row.race
        ratio = "[green]" if race.batched_ratio >= GOAL_RATIO else "[red]"
        overhead = "[green]" if race.single_overhead_ms <= GOAL_MS else "[red]"
        table.add_row(
            f"{row.size:,}", row.kind, row.structure, f"{row.added:.0f}", f"{race.batched:.0f}",
            f"{ratio}{race.batched_ratio:.2f}", f"{race.batch_cpu_ms:.1f}", f"{race.single_ms:.2f}",
            f"{overhead}{race.single_overhead_ms:.2f}", f"{race.single_cpu_ms:.2f}",
            f"{row.memory:.2f}", f"{row.recall:.3f}", f"{row.start_s:.2f}",
        )  # fmt: skip
    return table


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main())
