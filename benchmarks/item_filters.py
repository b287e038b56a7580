"""`python -m benchmarks.item_filters`: what a filter costs in the database, before any search.

Items with vectors of eight numbers and metadata of 150 bytes go into SQLite, and with --database-url into an
empty database of a PostgreSQL on this machine. Then each filter is looked up for the first time, once more
after ten items have changed, and listed to its first hundred items. Times are of the processor, that of
PostgreSQL included, the least of some rounds: so they say something on a machine that has other work too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from penult_server.core.filter_text import parse
from penult_server.core.index_kinds import IndexSpec
from penult_server.core.indexes import AddItems, AddMode, Candidate, IndexMaker, check_metadata
from penult_server.store.blobs import Blobs
from penult_server.store.database import FILE, Database
from penult_server.store.index_items import DatabaseItems
from penult_server.store.indexes import DatabaseIndexes
from penult_server.store.postgresql import PostgreSql

_DIM, _WRITE, _PAGE = 8, 2000, 100
FILTERS = ('brand = "b7"', "price < 50", 'brand = "b7" and price < 50', 'not (brand = "b7")')
"""2, 50, 1 and 98 of 100 items match."""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database-url", help="an empty database of PostgreSQL, measured beside SQLite")
    options = parser.parse_args()
    table = Table("items", "database", "filter", "found", "first, ms", "after a write", "page of 100")
    with tempfile.TemporaryDirectory() as folder:
        places = {"SQLite": Database(Path(folder) / FILE)}
        if options.database_url:
            places["PostgreSQL"] = Database(PostgreSql(options.database_url))
        for size in map(int, options.sizes.split(",")):
            for name, database in places.items():
                for row in measure(database, Path(folder) / f"{name}-{size}", size, options.rounds):
                    table.add_row(f"{size:,}", name, *row)
        for database in places.values():
            database.close()
    Console(width=120).print(table)


def measure(database: Database, folder: Path, size: int, rounds: int) -> list[tuple[str, ...]]:
    """A row for each filter; the items stay."""
    images = Blobs(folder / "images")
    items = DatabaseItems(database, images)
    indexes = DatabaseIndexes(database, items, images, folder / "indexes")
    index = indexes.create(f"of-{size}", IndexMaker(IndexSpec(_DIM), None, "", False), "")
    for first in range(0, size, _WRITE):
        items.write(index.id, [_adding(range(first, min(first + _WRITE, size)))])
    rows = []
    for text in FILTERS:
        wanted = parse(text)
        known = items.matching(index.id, wanted, None)
        items.write(index.id, [_adding(range(10), price=np.random.default_rng().random())])
        work: tuple[Callable[[], object], ...] = (
            partial(items.matching, index.id, wanted, None),
            partial(items.matching, index.id, wanted, known),
            partial(items.page, index.id, wanted, 0, _PAGE),
        )
        times = (f"{_least(database, part, rounds):.1f}" for part in work)
        rows.append((text, f"{len(known.keys.keys):,}", *times))
    return rows


def _least(database: Database, work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the processor."""
    times = []
    for _ in range(rounds):
        before = _seconds(database)
        work()
        times.append(_seconds(database) - before)
    return 1e3 * min(times)


def _seconds(database: Database) -> float:
    """Of the processor: what this process and the database's have taken."""
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            return time.process_time()
        query = sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        pids = connection.execute(query).scalars().all()
    theirs = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids)
    return time.process_time() + theirs / 1e9


def _adding(numbers: range, price: float | None = None) -> AddItems:
    candidates = [
        Candidate(place, str(number), _metadata(number, price), _vector(number), "", b"")
        for place, number in enumerate(numbers)
    ]
    return AddItems(0, len(candidates), candidates, [], AddMode.UPSERT, "")


def _metadata(number: int, price: float | None) -> str:
    values = {
        "brand": f"b{number % 50}",
        "price": number % 100 if price is None else price,
        "text": f"photograph {number} of the collection, " + "with what people write about it " * 2,
    }
    return check_metadata(json.dumps(values))


def _vector(number: int) -> np.ndarray:
    values: np.ndarray = np.random.default_rng(number).normal(size=_DIM).astype(np.float32)
    return values


if __name__ == "__main__":
    main()
