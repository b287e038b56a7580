"""A process that writes to an index until it is killed: store, engine and use cases, without gRPC.

It says over a pipe what it is about to do and what was acknowledged, and begins with what it found.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from penult_server.core.index_kinds import IndexSpec
from penult_server.core.indexes import AddItems, AddMode, AddReceipt, IndexMaker, IndexPhase, RemoveItems
from penult_server.core.open_index import IndexStores, OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_index import search_once
from penult_server.core.search_queries import QueryVectors
from penult_server.core.searches import SearchAnswer, SearchRequest
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.store.blobs import Blobs
from penult_server.store.database import FILE, Database
from penult_server.store.index_items import DatabaseItems
from penult_server.store.indexes import DatabaseIndexes
from tests.index_items import candidate, vector

NAME = "a"
WORKERS = 3
State = dict[str, int]
"""Ids, and the seed of each one's vector and metadata."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One write of one worker: ids with their new seeds, None for removed ones."""

    worker: int
    changes: tuple[tuple[str, int | None], ...]

    def applied(self, state: State) -> State:
        """The state after it."""
        after = {**state, **{key: seed for key, seed in self.changes if seed is not None}}
        return {key: seed for key, seed in after.items() if (key, None) not in self.changes}


def open_indexes(folder: Path) -> OpenIndexes:
    """What the server puts together."""
    database = Database(folder / FILE)
    images = Blobs(folder / "images")
    items = DatabaseItems(database, images)
    indexes = DatabaseIndexes(database, items, images, folder / "indexes")
    (folder / "vectors").mkdir(exist_ok=True)
    engine = FaissEngine(threads=1, folder=folder / "vectors")
    return OpenIndexes(IndexStores(indexes, items, engine), lambda event, index, what: None)


def run(folder: Path, pipe: Connection, seed: int) -> None:
    """Entry point of the process; it never ends by itself."""
    asyncio.run(_run(folder, pipe, random.Random(seed)))


async def _run(folder: Path, pipe: Connection, rng: random.Random) -> None:
    opened = open_indexes(folder)
    await opened.start()
    if not list(opened.all()):
        row = opened.stores.indexes.create(NAME, IndexMaker(IndexSpec(4), None, "", False), "")
        index = opened.make(row)
        index.start_empty()
        opened.admit(row, index)
    index = opened.find(NAME)
    while index.phase is IndexPhase.LOADING:
        await asyncio.sleep(0.005)
    state = _state(index)
    pipe.send(("found", index.loading.source, state))
    numbers = iter(range(rng.randrange(1 << 30), 1 << 40))
    workers = [
        _work(
            index, pipe, number, {k: v for k, v in state.items() if k.startswith(f"{number}-")}, rng, numbers
        )
        for number in range(WORKERS)
    ]
    await asyncio.gather(*workers, _save(index, rng))


def _state(index: OpenIndex) -> State:
    """What the rows hold, checked against memory: the same items with the same vectors, and nothing else."""
    items = index.stores.items.page(index.id, None, 0, 1 << 20)
    row = index.stores.indexes.by_id(index.id)
    assert len(items) == row.item_count == index.vectors.count, "memory and rows hold as many items"
    assert index.vectors.sequence == row.sequence, "memory knows the last write"
    state = {}
    for item in items:
        seed = json.loads(item.metadata_json)["seed"]
        stored = index.stores.items.vectors([item.key])[item.key]
        assert np.array_equal(stored, vector(seed)), "vector and metadata are of one write"
        unit = vector(seed) / np.linalg.norm(vector(seed))
        assert np.allclose(index.vectors.vectors(np.asarray([item.key]))[0], unit, atol=1e-5)
        state[item.id] = seed
    return state


async def _work(
    index: OpenIndex, pipe: Connection, worker: int, state: State, rng: random.Random, numbers: Any
) -> None:
    while True:
        step, write = _next(worker, state, rng, numbers)
        pipe.send(("try", step))
        receipt = await index.write(write)
        assert not isinstance(receipt, AddReceipt) or not receipt.errors, receipt
        pipe.send(("done", step))
        state = step.applied(state)
        for key, seed in (*step.changes, *rng.sample(sorted(state.items()), min(1, len(state)))):
            found = await asyncio.to_thread(_search, index, seed if seed is not None else 0)
            hits = zip(found.ids, found.metadata_json, found.scores.tolist(), strict=True)
            mine = {item_id: (json.loads(text)["seed"], score) for item_id, text, score in hits}
            if key not in state:
                assert key not in mine, "what was removed is not found"
            else:
                assert mine[key][0] == state[key], "what was written is found as it is"
                assert mine[key][1] > 0.999, "with the score of its vector"


def _search(index: OpenIndex, seed: int) -> SearchAnswer:
    while True:
        queries = QueryVectors(vector(seed)[None], 1, [0], [])
        found = search_once(index, SearchRequest(NAME, k=20), queries, None)
        if found is not None:
            return found


def _next(worker: int, state: State, rng: random.Random, numbers: Any) -> tuple[Step, AddItems | RemoveItems]:
    there = sorted(state)
    kind = rng.choice(("add", "add", "upsert", "upsert", "remove") if there else ("add",))
    if kind == "remove":
        gone = rng.sample(there, rng.randint(1, min(3, len(there))))
        return Step(worker, tuple((key, None) for key in gone)), RemoveItems(gone)
    known = rng.sample(there, min(2, len(there))) if kind == "upsert" else []
    ids = [*known, *(f"{worker}-{next(numbers)}" for _ in range(rng.randint(1, 3)))]
    changes = tuple((key, next(numbers) % (1 << 31)) for key in ids)
    items = [candidate(n, key, seed, f'{{"seed":{seed}}}') for n, (key, seed) in enumerate(changes)]
    mode = AddMode.UPSERT if kind == "upsert" else AddMode.ADD
    return Step(worker, changes), AddItems(0, len(items), items, [], mode)


async def _save(index: OpenIndex, rng: random.Random) -> None:
    while True:
        await asyncio.sleep(rng.random() * 0.1)
        await index.save()
