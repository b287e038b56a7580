"""From what a caller searches by to vectors: images by their features, ids by their rows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence

import numpy as np

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.extract import ExtractFeatures, FeatureBatch
from penult_server.core.features import FeatureOptions
from penult_server.core.images import ItemError, SourceImage
from penult_server.core.index_kinds import faults
from penult_server.core.indexes import IndexMaker
from penult_server.core.open_index import OpenIndex
from penult_server.core.searches import SearchRequest


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class QueryVectors:
    """The queries that can be searched, float32 (N, dim), and the errors of the others of `count`.

    `places` are the positions of the N among all; `excluded` the keys that each must not find.
    """

    vectors: np.ndarray
    count: int
    places: Sequence[int]
    errors: list[ItemError]
    excluded: Sequence[Sequence[int]] = ()

    def spread(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the N as counts of all: 0 for those with an error."""
        if len(counts) == self.count:
            return counts
        spread = np.zeros(self.count, counts.dtype)
        spread[list(self.places)] = counts
        return spread


class Queries:
    """Makes query vectors for indexes."""

    def __init__(self, extract: ExtractFeatures) -> None:
        """`extract` computes features of images."""
        self._extract = extract

    async def vectors(self, index: OpenIndex, request: SearchRequest, *, bulk: bool) -> QueryVectors:
        """See SearchIndex.search for what it raises."""
        excluded = await self._keys(index, request.exclude)
        if request.ids:
            return await self._of_ids(index, request.ids, excluded)
        if request.images:
            return await self._of_images(index, request, excluded, bulk=bulk)
        assert request.vectors is not None
        check_fingerprint(index.maker, request.fingerprint)
        check_dim(index.maker, request.vectors)
        return _usable(index.maker, request.vectors, [], excluded)

    async def _of_ids(self, index: OpenIndex, ids: Sequence[str], excluded: Sequence[int]) -> QueryVectors:
        found = await asyncio.to_thread(index.stores.items.by_ids, index.id, ids)
        keys = [found[item_id].key for item_id in ids if item_id in found]
        known = await asyncio.to_thread(index.stores.items.vectors, keys)
        errors, rows, places, leave_out = [], [], [], []
        for position, item_id in enumerate(ids):
            item = found.get(item_id)
            if item is None or item.key not in known:
                errors.append(
                    ItemError(position, item_id[:80], "ITEM_NOT_FOUND", "the index has no such item")
                )
                continue
            rows.append(known[item.key])
            places.append(position)
            leave_out.append([item.key, *excluded])
        vectors = np.stack(rows) if rows else np.empty((0, index.maker.spec.dim), np.float32)
        return QueryVectors(vectors, len(ids), places, errors, leave_out)

    async def _of_images(
        self, index: OpenIndex, request: SearchRequest, excluded: Sequence[int], *, bulk: bool
    ) -> QueryVectors:
        options = options_of(index.maker)
        if request.query_tta is not None:
            check_fingerprint(index.maker, (await self._extract.facts(options)).fingerprint)
            options = dataclasses.replace(options, tta=request.query_tta)
        batch = await self._features(request.images, options, bulk=bulk)
        if request.query_tta is None:
            check_fingerprint(index.maker, batch.fingerprint)
        return _usable(index.maker, batch.features, batch.errors, excluded)

    async def _features(
        self, images: Sequence[SourceImage], options: FeatureOptions, *, bulk: bool
    ) -> FeatureBatch:
        if not bulk:
            return await self._extract.extract(images, options)

        async def once() -> AsyncIterator[Sequence[SourceImage]]:
            yield images

        async with contextlib.aclosing(self._extract.stream(once(), options)) as batches:
            return await anext(batches)

    async def _keys(self, index: OpenIndex, ids: Sequence[str]) -> Sequence[int]:
        if not ids:
            return ()
        found = await asyncio.to_thread(index.stores.items.by_ids, index.id, ids)
        return [item.key for item in found.values()]


def options_of(maker: IndexMaker) -> FeatureOptions:
    """What features its vectors are. Raises FailedPrecondition for an index of the caller's own vectors."""
    if maker.options is None:
        raise FailedPrecondition(
            "INDEX_TAKES_VECTORS",
            "this index holds the caller's own vectors, so the server cannot make one of an image",
            hint="give vectors, or make an index over a backbone",
        )
    return maker.options


def check_fingerprint(maker: IndexMaker, fingerprint: str) -> None:
    """Raises FailedPrecondition for vectors that are not comparable with those of the index."""
    if fingerprint != maker.fingerprint:
        given = f"fingerprint {fingerprint}" if fingerprint else "no fingerprint"
        has = f"fingerprint {maker.fingerprint}" if maker.fingerprint else "no fingerprint"
        raise FailedPrecondition(
            "FINGERPRINT_MISMATCH",
            f"the vectors have {given}, those of the index {has}",
            hint="extract them with the options of the index, or make another index",
            given=fingerprint,
            index=maker.fingerprint,
        )


def check_dim(maker: IndexMaker, vectors: np.ndarray) -> None:
    """Raises InvalidArgument for vectors of another length than those of the index."""
    if vectors.ndim != 2 or vectors.shape[1] != maker.spec.dim:
        raise InvalidArgument(
            "DIMENSION_MISMATCH",
            f"vectors are {'x'.join(map(str, vectors.shape))}, the index takes N x {maker.spec.dim}",
            field="vectors",
        )


def _usable(
    maker: IndexMaker, vectors: np.ndarray, errors: Sequence[ItemError], excluded: Sequence[int]
) -> QueryVectors:
    as_stored = np.ascontiguousarray(vectors, np.float32)
    known = {error.index for error in errors}
    wrong = [fault for fault in faults(as_stored, maker.spec) if fault[0] not in known]
    all_errors = sorted(
        [*errors, *(ItemError(row, "", reason, message) for row, reason, message in wrong)],
        key=lambda error: error.index,
    )
    if not all_errors:
        places: Sequence[int] = range(len(as_stored))
    else:
        bad = {error.index for error in all_errors}
        places = [row for row in range(len(as_stored)) if row not in bad]
        as_stored = as_stored[places]
    exclude = [excluded] * len(places) if excluded else ()
    return QueryVectors(as_stored, len(vectors), places, all_errors, exclude)
