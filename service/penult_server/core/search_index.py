"""Use case: the nearest items of images, ids or vectors.

What a search promises while writes go on: a hit's score, id and metadata are those of one moment, and
that moment is not before any write that was acknowledged when the search began. It is kept by looking
again: an index in memory says after which write it was searched, every row says which write made it as
it is, and where a hit's row is newer or gone the search is done again; at last with the writer held back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import operator
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import numpy as np

from penult_server.core.admission import Admission
from penult_server.core.filter_text import parse
from penult_server.core.filters import Filter
from penult_server.core.index_kinds import NO_KEY
from penult_server.core.indexes import Item
from penult_server.core.metrics import NO_METER, Meter
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_queries import Queries, QueryVectors
from penult_server.core.searches import SearchAnswer, SearchRequest, check_search

STREAM_DEPTH = 4
_ATTEMPTS = 4
_ID, _METADATA, _SEQUENCE = map(operator.attrgetter, ("id", "metadata_json", "sequence"))


class SearchIndex:
    """See the module's first line."""

    def __init__(
        self,
        indexes: OpenIndexes,
        queries: Queries,
        room: Admission,
        threads: concurrent.futures.Executor,
        meter: Meter = NO_METER,
    ) -> None:
        """`room` counts queries; searches run in `threads`."""
        self._count = meter.counter("penult_searches_total", "Queries that were answered.", ["kind"])
        self._seconds = meter.histogram(
            "penult_search_seconds", "From a search's arrival to its hits.", labels=["kind"]
        )
        self._indexes = indexes
        self._queries = queries
        self._room = room
        self._threads = threads

    async def search(self, request: SearchRequest, *, bulk: bool = False) -> SearchAnswer:
        """The nearest items of every query; images go behind those of interactive calls if `bulk`.

        Raises:
            NotFound: there is no such index.
            InvalidArgument: K_INVALID, FILTER_INVALID, NO_QUERIES and others; see docs/indexes.md.
            FailedPrecondition: the fingerprint is another.
            Unavailable: the index is loading.
            ResourceExhausted: the server is full.
        """
        started = time.perf_counter()
        index = self._indexes.find(request.index)
        kind = index.vectors.kind  # tells at once where it is loading
        count = check_search(request)
        wanted = parse(request.filter) if request.filter else None
        self._room.enter(count)
        try:
            queries = await self._queries.vectors(index, request, bulk=bulk)
            answer = await self._search(index, request, queries, wanted)
        finally:
            self._room.leave(count)
        seconds = time.perf_counter() - started
        index.latency.add(count, seconds)
        self._count.add(count, kind)
        self._seconds.observe(seconds, kind)
        return answer

    async def stream(self, requests: AsyncIterator[SearchRequest]) -> AsyncGenerator[SearchAnswer, None]:
        """An answer for each, in order, with a few under way at once. Raises as `search` does."""
        tasks: asyncio.Queue[asyncio.Task[SearchAnswer] | None] = asyncio.Queue(STREAM_DEPTH)

        async def read() -> None:
            try:
                async for request in requests:
                    await tasks.put(asyncio.create_task(self.search(request, bulk=True)))
            finally:
                await tasks.put(None)

        reader = asyncio.create_task(read())
        try:
            while task := await tasks.get():
                yield await task
            await reader
        finally:
            reader.cancel()
            while not tasks.empty():
                if task := tasks.get_nowait():
                    task.cancel()

    async def _search(
        self, index: OpenIndex, request: SearchRequest, queries: QueryVectors, wanted: Filter | None
    ) -> SearchAnswer:
        loop = asyncio.get_running_loop()
        for _ in range(_ATTEMPTS):
            found = await loop.run_in_executor(self._threads, search_once, index, request, queries, wanted)
            if found is not None:
                return found
        async with index.lock:
            found = await loop.run_in_executor(self._threads, search_once, index, request, queries, wanted)
        assert found is not None, "nothing was written meanwhile"
        return found


def search_once(
    index: OpenIndex, request: SearchRequest, queries: QueryVectors, wanted: Filter | None
) -> SearchAnswer | None:
    """One try, blocking; None where a write came between."""
    vectors = index.vectors
    state = vectors.sequence
    allowed = None if wanted is None else index.lookup.matching(wanted).keys
    keys, scores = vectors.search(
        queries.vectors,
        request.k,
        allowed=allowed,
        exclude=queries.excluded,
        min_score=request.min_score,
    )
    there = keys != NO_KEY
    counts = queries.spread(np.count_nonzero(there, axis=1))
    scores, hit_keys = scores[there], keys[there].tolist()
    items = index.lookup.items(hit_keys)
    if items is None or max(map(_SEQUENCE, items), default=0) > state:
        return None
    ids = list(map(_ID, items))
    order = _order_of_ties(counts, scores, ids)
    if order is not None:
        items, ids = [items[place] for place in order], [ids[place] for place in order]
    rows = _vectors_of(index, items) if request.with_vectors else None
    return SearchAnswer(counts, ids, scores, list(map(_METADATA, items)), queries.errors, rows)


def _vectors_of(index: OpenIndex, items: Sequence[Item]) -> np.ndarray:
    known = index.stores.items.vectors(sorted({item.key for item in items}))
    none = np.full(index.maker.spec.dim, np.nan, np.float32)  # removed since, as a later search would show
    rows = np.empty((len(items), index.maker.spec.dim), np.float32)
    for place, item in enumerate(items):
        rows[place] = known.get(item.key, none)
    return rows


def _order_of_ties(counts: np.ndarray, scores: np.ndarray, ids: Sequence[str]) -> Sequence[int] | None:
    """The order in which equal scores of a query come by id; None where hits are in it already."""
    tied = scores[1:] == scores[:-1]
    ends = np.cumsum(counts)
    tied[ends[(ends > 0) & (ends < len(scores))] - 1] = False
    if not tied.any():
        return None
    edges = np.flatnonzero(np.diff(tied.astype(np.int8), prepend=0, append=0))
    order = list(range(len(scores)))
    for first, last in edges.reshape(-1, 2).tolist():
        order[first : last + 1] = sorted(range(first, last + 1), key=ids.__getitem__)
    return order
