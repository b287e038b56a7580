"""One index at work on a real store and engine: writes, searches, loading, and what goes wrong."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penult_server.core.admission import Admission
from penult_server.core.errors import NotFound, ResourceExhausted, Unavailable
from penult_server.core.indexes import AddReceipt, IndexPhase, RemoveItems
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_index import SearchIndex, search_once
from penult_server.core.search_queries import QueryVectors
from penult_server.core.searches import SearchRequest
from tests.index_items import adding, candidate, maker, vector
from tests.index_victim import open_indexes


class GivenVectors:
    """Stands for Queries: the vectors of the request."""

    async def vectors(self, index: OpenIndex, request: SearchRequest, *, bulk: bool) -> QueryVectors:
        assert request.vectors is not None
        return QueryVectors(request.vectors, len(request.vectors), range(len(request.vectors)), [])


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[OpenIndexes]:
    made = open_indexes(tmp_path)
    await made.start()
    yield made
    await made.close()


async def new_index(opened: OpenIndexes, name: str = "a") -> OpenIndex:
    row = opened.stores.indexes.create(name, maker(), "")
    index = opened.make(row)
    index.start_empty()
    return opened.admit(row, index)


async def ready(index: OpenIndex) -> None:
    while index.phase is IndexPhase.LOADING:
        await asyncio.sleep(0.01)


def found(index: OpenIndex, seed: int, k: int = 1) -> list[str]:
    queries = QueryVectors(vector(seed)[None], 1, [0], [])
    answer = search_once(index, SearchRequest("a", k=k), queries, None)
    assert answer is not None
    return list(answer.ids)


async def test_writes_that_wait_together_share_a_transaction(opened: OpenIndexes, monkeypatch: Any) -> None:
    index = await new_index(opened)
    groups: list[int] = []
    write = opened.stores.items.write
    monkeypatch.setattr(
        opened.stores.items, "write", lambda key, writes: groups.append(len(writes)) or write(key, writes)
    )
    receipts = await asyncio.gather(*(index.write(adding([candidate(0, str(n), n)])) for n in range(20)))
    assert receipts == [AddReceipt(0, 1, 1, 0, 0, [])] * 20
    assert len(groups) < 20
    assert sum(groups) == 20
    assert found(index, 7) == ["7"]
    await index.write(RemoveItems(["7"]))
    assert found(index, 7) != ["7"]


async def test_an_index_takes_writes_while_it_loads_and_says_when_to_come_back(
    tmp_path: Path, opened: OpenIndexes, monkeypatch: Any
) -> None:
    index = await new_index(opened)
    await index.write(adding([candidate(n, str(n), n) for n in range(10)]))
    changes, held = opened.stores.items.changes, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(index_id: int, after: int) -> Any:
        asyncio.run_coroutine_threadsafe(held.wait(), loop).result(60)
        return changes(index_id, after)

    monkeypatch.setattr(opened.stores.items, "changes", slowly)
    loading = asyncio.create_task(index.load())
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable) as caught:
        index.vectors  # noqa: B018
    assert (caught.value.reason, caught.value.retry_after) == ("INDEX_LOADING", 1.0)
    await index.write(adding([candidate(0, "new", 99)]))
    held.set()
    await loading
    assert found(index, 99) == ["new"]
    assert index.vectors.count == 11


@pytest.mark.parametrize("deed", ["missing", "cut", "flipped", "older", "none"])
async def test_a_snapshot_that_is_not_what_was_saved_is_built_anew(tmp_path: Path, deed: str) -> None:
    opened = open_indexes(tmp_path)
    await opened.start()
    index = await new_index(opened)
    await index.write(adding([candidate(n, str(n), n) for n in range(30)]))
    await index.save()
    [older] = (tmp_path / "indexes").glob("*.snapshot")
    old = older.read_bytes()
    await index.write(RemoveItems(["3"]))
    await index.save()
    [file] = (tmp_path / "indexes").glob("*.snapshot")
    await index.write(adding([candidate(0, "late", 77)]))
    data = file.read_bytes()
    if deed == "missing":
        file.unlink()
    else:
        file.write_bytes(
            {
                "cut": data[:-10],
                "flipped": data[:99] + bytes([data[99] ^ 1]) + data[100:],
                "older": old,
                "none": data,
            }[deed]
        )
    await opened.close()
    again = open_indexes(tmp_path)
    await again.start()
    index = again.find("a")
    await ready(index)
    assert index.loading.source.startswith("snapshot" if deed == "none" else "rebuilt")
    assert index.vectors.count == 30
    assert found(index, 77) == ["late"]
    assert "3" not in found(index, 3, k=30)
    await again.close()


async def test_a_write_of_which_nobody_knows_whether_it_was_committed_is_found_if_it_was(
    opened: OpenIndexes, monkeypatch: Any
) -> None:
    index = await new_index(opened)
    write = opened.stores.items.write

    def lost(index_id: int, writes: Any) -> Any:
        write(index_id, writes)
        raise Unavailable("DATABASE_UNREACHABLE", "the connection broke")

    monkeypatch.setattr(opened.stores.items, "write", lost)
    with pytest.raises(Unavailable):
        await index.write(adding([candidate(0, "a", 1)]))
    monkeypatch.setattr(opened.stores.items, "write", write)
    await ready(index)
    assert found(index, 1) == ["a"]
    receipt = await index.write(adding([candidate(0, "a", 1)]))
    assert isinstance(receipt, AddReceipt)
    assert receipt.unchanged == 1


async def test_memory_that_fails_under_a_write_is_loaded_anew(opened: OpenIndexes, monkeypatch: Any) -> None:
    index = await new_index(opened)
    await index.write(adding([candidate(0, "x", 1)]))

    def fail(*arguments: Any, **named: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(index.vectors, "add", fail)
    receipt = await index.write(adding([candidate(0, "y", 2)]))
    assert isinstance(receipt, AddReceipt)
    assert receipt.added == 1
    await ready(index)
    assert found(index, 2) == ["y"]


async def test_what_waited_for_an_optimisation_does_not_do_it_again(
    opened: OpenIndexes, monkeypatch: Any
) -> None:
    index = await new_index(opened)
    runs, due = [], ["there is much to do"]

    def optimize(report: Any) -> None:
        time.sleep(0.1)
        runs.append(1)
        due[0] = ""

    monkeypatch.setattr(index.vectors, "optimize", optimize)
    monkeypatch.setattr(index.vectors, "due", lambda: due[0])
    first = asyncio.create_task(opened.optimize(index, lambda share, words: None))
    await asyncio.sleep(0.01)
    await index.write(adding([candidate(0, "x", 1)]))  # finds that one is due, and waits for its turn
    await asyncio.gather(first, opened.optimize(index, lambda share, words: None))
    await asyncio.sleep(0.3)
    assert runs == [1]
    await opened.optimize(index, lambda share, words: None)  # asked for by somebody
    assert runs == [1, 1]


async def test_a_full_disk_refuses_writes_and_keeps_serving(opened: OpenIndexes, monkeypatch: Any) -> None:
    index = await new_index(opened)
    await index.write(adding([candidate(0, "x", 1)]))

    def full(*arguments: Any) -> None:
        raise ResourceExhausted("DISK_FULL", "the disk is full")

    monkeypatch.setattr(opened.stores.items, "write", full)
    with pytest.raises(ResourceExhausted):
        await index.write(adding([candidate(0, "y", 2)]))
    assert found(index, 1, k=5) == ["x"]
    monkeypatch.undo()
    await index.write(adding([candidate(0, "y", 2)]))
    assert found(index, 2) == ["y"]


async def test_hits_are_of_one_moment_while_items_change(opened: OpenIndexes) -> None:
    """Each item's metadata tells its vector; a hit whose score is not that of its metadata was torn."""
    index = await new_index(opened)
    await index.write(adding([candidate(n, str(n), n, f'{{"seed":{n}}}') for n in range(40)], upsert=True))
    threads = concurrent.futures.ThreadPoolExecutor(2)
    search = SearchIndex(opened, GivenVectors(), Admission(100), threads)  # type: ignore[arg-type]
    stop = asyncio.Event()

    async def churn() -> None:
        rng = np.random.default_rng(0)
        while not stop.is_set():
            seed = int(rng.integers(1 << 30))
            key = str(rng.integers(40))
            await index.write(adding([candidate(0, key, seed, f'{{"seed":{seed}}}')], upsert=True))
            await index.write(RemoveItems([str(rng.integers(40))]))
            await index.write(adding([candidate(0, f"x{seed}", seed, f'{{"seed":{seed}}}')]))

    churning = asyncio.create_task(churn())
    query = vector(5)[None]
    for _ in range(150):
        answer = await search.search(SearchRequest("a", vectors=query, k=25))
        assert answer.counts.tolist() == [25]
        for text, score in zip(answer.metadata_json, answer.scores.tolist(), strict=True):
            mine = vector(int(text.removeprefix('{"seed":').removesuffix("}")))
            cosine = float(query[0] @ mine / np.linalg.norm(query[0]) / np.linalg.norm(mine))
            assert score == pytest.approx(cosine, abs=1e-4)
    stop.set()
    await churning
    threads.shutdown()


async def test_what_is_deleted_is_gone_for_writers_too(opened: OpenIndexes) -> None:
    index = await new_index(opened)
    index_id, _ = opened.stores.indexes.delete("a", "")
    opened.dismiss(index_id)
    with pytest.raises(NotFound):
        opened.find("a")
    with pytest.raises(NotFound):
        await index.write(adding([candidate(0, "x", 1)]))
