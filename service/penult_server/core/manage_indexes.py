"""Use cases on indexes as a whole and on single items, all but adding and searching."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from penult_server.core.errors import InvalidArgument
from penult_server.core.extract import ExtractFeatures
from penult_server.core.features import FeatureOptions
from penult_server.core.filter_text import parse
from penult_server.core.index_kinds import MAX_DIM, IndexSpec, IndexState
from penult_server.core.indexes import Index, IndexMaker, IndexPhase, Item, check_label_field
from penult_server.core.names import check_name
from penult_server.core.open_index import IndexStores, Loading, OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.paging import Page, page_of, start_of_page

MAX_GOT = 1000
MAX_GOT_IMAGES = 64
"""Most items of one call that gets them, and most with their images."""
_KEY = re.compile(r"[0-9]{1,19}")


@dataclasses.dataclass(frozen=True, slots=True)
class IndexDescription:
    """An index as its rows are, with what memory has of it."""

    index: Index
    phase: IndexPhase
    loading: Loading


@dataclasses.dataclass(frozen=True, slots=True)
class IndexStats:
    """How an index is doing; `state` is that of memory."""

    index: Index
    state: IndexState
    loading: Loading
    image_count: int
    queries: int
    search_ms_p50: float
    search_ms_p95: float
    optimizing: bool


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FoundItems:
    """Items with what was asked for: `vectors` float32 (N, dim), `images` where they are kept."""

    items: Sequence[Item]
    vectors: np.ndarray | None
    images: Sequence[bytes] | None


class ManageIndexes:
    """Makes, describes and removes indexes. Methods raise NotFound for a name that none has."""

    def __init__(self, indexes: OpenIndexes, extract: ExtractFeatures) -> None:
        """`extract` tells fingerprints."""
        self._indexes = indexes
        self._stores: IndexStores = indexes.stores
        self._extract = extract

    async def create(
        self,
        name: str,
        spec: IndexSpec,
        options: FeatureOptions | None,
        *,
        fingerprint: str,
        keeps_images: bool,
        label_field: str,
        request_id: str,
    ) -> IndexDescription:
        """A new index, of features or, without options, of the caller's own vectors.

        Raises:
            InvalidArgument: a bad name, or what IndexEngine.validate refuses.
            AlreadyExists: the name is taken.
            PenultError: the backbone cannot be used.
        """
        check_name(name, "name")
        maker = await self.maker(spec, options, fingerprint, keeps_images, label_field)
        index = await asyncio.to_thread(self._stores.indexes.create, name, maker, request_id)
        opened = self._indexes.make(index)
        if not index.item_count:
            await asyncio.to_thread(opened.start_empty)
        self._indexes.admit(index, opened)
        return await self.get(index.name)

    async def maker(
        self,
        spec: IndexSpec,
        options: FeatureOptions | None,
        fingerprint: str,
        keeps_images: bool,
        label_field: str,
    ) -> IndexMaker:
        """What a new index would be made of, checked. Raises as `create` does."""
        if options is not None:
            facts = await self._extract.facts(options)
            if spec.dim not in (0, facts.dim):
                raise InvalidArgument(
                    "DIMENSION_MISMATCH",
                    f"dim is {spec.dim}, and these features have {facts.dim} values",
                    field="spec.dim",
                    hint="leave it out",
                )
            if fingerprint not in ("", facts.fingerprint):
                raise InvalidArgument(
                    "FINGERPRINT_GIVEN", "the fingerprint follows from the options", field="fingerprint"
                )
            spec = dataclasses.replace(spec, dim=facts.dim)
            options = dataclasses.replace(options, backbone=facts.backbone)
            fingerprint = facts.fingerprint
        elif not 1 <= spec.dim <= MAX_DIM:
            raise InvalidArgument(
                "DIMENSION_INVALID",
                f"an index of the caller's own vectors needs a dim of 1 to {MAX_DIM}",
                field="spec.dim",
            )
        if not fingerprint.isprintable() or len(fingerprint) > 128:
            raise InvalidArgument(
                "FINGERPRINT_INVALID", "a fingerprint is printable text of at most 128 characters",
                field="fingerprint",
            )  # fmt: skip
        await asyncio.to_thread(self._stores.engine.validate, spec)
        return IndexMaker(
            spec, options, fingerprint, keeps_images and options is not None, check_label_field(label_field)
        )

    async def get(self, name: str) -> IndexDescription:
        """One index."""
        opened = self._indexes.find(name)
        return self._described(opened, await asyncio.to_thread(self._stores.indexes.by_id, opened.id))

    async def list(self, page_size: int, page_token: str) -> Page[IndexDescription]:
        """One page by name."""
        size, after = start_of_page(page_size, page_token)
        rows = await asyncio.to_thread(self._stores.indexes.list, after, size + 1)
        page = page_of(rows, size, key=lambda index: index.name)
        found = [self._described(self._indexes.find(index.name), index) for index in page.items]
        return Page(found, page.next_token)

    async def delete(self, name: str, request_id: str) -> int:
        """Removes it; says how many items it had. Raises FailedPrecondition while an alias points to it."""
        index_id, removed = await asyncio.to_thread(self._stores.indexes.delete, name, request_id)
        if index_id:
            self._indexes.dismiss(index_id)
        return removed

    async def set_alias(self, alias: str, name: str, request_id: str) -> IndexDescription:
        """Points an alias to it. Raises AlreadyExists where an index has that name."""
        check_name(alias, "alias")
        index = await asyncio.to_thread(self._stores.indexes.set_alias, alias, name, request_id)
        self._indexes.rename(index)
        return await self.get(index.name)

    async def delete_alias(self, alias: str, request_id: str) -> None:
        """Forgets an alias. Raises NotFound."""
        await asyncio.to_thread(self._stores.indexes.delete_alias, alias, request_id)
        self._indexes.forget_alias(alias)

    async def stats(self, name: str) -> IndexStats:
        """How it is doing. Raises Unavailable while it is loading."""
        opened = self._indexes.find(name)
        state = opened.vectors.describe()
        index = await asyncio.to_thread(self._stores.indexes.by_id, opened.id)
        images = await asyncio.to_thread(self._stores.items.image_count, opened.id)
        latency = opened.latency
        return IndexStats(
            index, state, opened.loading, images, latency.queries,
            latency.percentile_ms(0.5), latency.percentile_ms(0.95), opened.optimizing,
        )  # fmt: skip

    async def items(
        self, name: str, ids: Sequence[str], *, with_vectors: bool, with_images: bool
    ) -> FoundItems:
        """Those of the items that there are, in the order asked. Raises InvalidArgument for too many."""
        opened = self._indexes.find(name)
        most = MAX_GOT_IMAGES if with_images else MAX_GOT
        if len(ids) > most:
            raise InvalidArgument(
                "TOO_MANY_ITEMS", f"{len(ids)} ids in one call; at most {most} are taken", field="ids"
            )
        return await asyncio.to_thread(_found, opened, ids, with_vectors, with_images)

    async def page(self, name: str, text: str, page_size: int, page_token: str) -> Page[Item]:
        """One page of items that match, in the order in which they were first added."""
        opened = self._indexes.find(name)
        size, after = start_of_page(page_size, page_token)
        if after and not _KEY.fullmatch(after):
            raise InvalidArgument(
                "BAD_PAGE_TOKEN",
                "page_token is not one of ListItems",
                field="page_token",
                hint="start again without a token",
            )
        wanted = parse(text) if text else None
        rows = await asyncio.to_thread(self._stores.items.page, opened.id, wanted, int(after or 0), size + 1)
        return page_of(rows, size, key=lambda item: str(item.key))

    def _described(self, opened: OpenIndex, index: Index) -> IndexDescription:
        return IndexDescription(index, opened.phase, opened.loading)


def _found(opened: OpenIndex, ids: Sequence[str], with_vectors: bool, with_images: bool) -> FoundItems:
    items = opened.stores.items
    known = items.by_ids(opened.id, ids)
    found = [known[item_id] for item_id in ids if item_id in known]
    vectors = None
    if with_vectors:
        rows = items.vectors([item.key for item in found])
        found = [item for item in found if item.key in rows]
        empty = np.empty((0, opened.maker.spec.dim), np.float32)
        vectors = np.stack([rows[item.key] for item in found]) if found else empty
    kept = with_images and opened.maker.keeps_images  # else another index may have kept it
    images = [items.image(item.image_sha256) or b"" for item in found] if kept else None
    return FoundItems(found, vectors, images)
