"""Items of an index for asyncio; `index_items` explains the arguments."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from penult._achunks import achunks
from penult._datasets import new_request_id
from penult._exchange import exchange_async
from penult._indexes import PAGE_SIZE
from penult._items import (
    MAX_IDS,
    MAX_IMAGES,
    MAX_REMOVED,
    Adding,
    Metadata,
    batches,
    check_ids,
    item,
    missing_item,
    vector_array,
    vector_rows,
)
from penult._link import AsyncLink
from penult._progress import progress_bar
from penult.index_types import AddSummary, IndexInfo, Item, RemoveSummary, Vectors
from penult.sources import count_hint
from penult.v1 import index_pb2 as pb
from penult.v1 import index_pb2_grpc

if TYPE_CHECKING:
    from penult._achunks import AsyncImagesLike
    from penult.types import FeatureBatch, Features


class AsyncIndexItems(IndexInfo):
    """The part of `AsyncIndex` that is about its items."""

    _link: AsyncLink

    async def add(
        self,
        images: AsyncImagesLike,
        *,
        ids: Iterable[str] | None = None,
        metadata: Metadata | None = None,
        labels: str | Iterable[str | None] | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> AddSummary:
        """Adds any number of images. What is there already stays as it is, so a repeat adds nothing."""
        return await self._add_images(
            images, progress, timeout, ids=ids, metadata=metadata, labels=labels, upsert=False
        )

    async def add_vectors(
        self,
        vectors: Features | FeatureBatch | Any,
        *,
        ids: Iterable[str],
        metadata: Metadata | None = None,
        labels: str | Iterable[str | None] | None = None,
        fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> AddSummary:
        """Adds vectors (N, dim), an array or a FeatureBatch; else as `add`.

        `fingerprint` must be that of the index, where it has one; a FeatureBatch brings its own.
        """
        return await self._add_vectors(
            vectors, fingerprint, timeout, ids=list(ids), metadata=metadata, labels=labels, upsert=False
        )

    async def upsert(
        self,
        images: AsyncImagesLike | None = None,
        *,
        vectors: Features | FeatureBatch | Any = None,
        ids: Iterable[str] | None = None,
        metadata: Metadata | None = None,
        labels: str | Iterable[str | None] | None = None,
        fingerprint: str | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> AddSummary:
        """Adds images, or vectors with ids, and replaces the items that have these ids; else as `add`."""
        described: dict[str, Any] = {"metadata": metadata, "labels": labels, "upsert": True}
        if vectors is None:
            given = () if images is None else images
            return await self._add_images(given, progress, timeout, ids=ids, **described)
        return await self._add_vectors(vectors, fingerprint, timeout, ids=list(ids or ()), **described)

    async def remove(self, ids: str | Iterable[str], *, timeout: float | None = None) -> RemoveSummary:
        """Removes items; no search that begins afterwards finds them."""
        removed = missing = 0
        for some in batches(ids, MAX_REMOVED):
            request = pb.RemoveItemsRequest(index=self.name, ids=some, request_id=new_request_id())
            response = await self._link.call(self._stub.RemoveItems, request, timeout)
            removed, missing = removed + response.removed, missing + response.missing
        return RemoveSummary(removed, missing)

    async def items(
        self, filter: str | None = None, *, timeout: float | None = None
    ) -> AsyncGenerator[Item, None]:
        """Items whose metadata matches, in the order added; pages are fetched as they are needed.

        `filter` is such as 'price < 20 and color in ["red", "blue"]'; docs/indexes.md has the grammar.
        """
        request = pb.ListItemsRequest(index=self.name, page_size=PAGE_SIZE, filter=filter or "")
        while True:
            page = await self._link.call(self._stub.ListItems, request, timeout)
            for message in page.items:
                yield item(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get(self, ids: str | Iterable[str], *, timeout: float | None = None) -> list[Item]:
        """Those of the items that there are, in the order asked."""
        return [item(message) async for message in self._got(ids, MAX_IDS, timeout)]

    async def vectors(self, ids: str | Iterable[str], *, timeout: float | None = None) -> Vectors:
        """Vectors of items as they were added, float32 (N, dim). Raises NotFound where one is missing."""
        rows = [np.empty((0, self.dim), np.float32)]
        for some in batches(ids, MAX_IDS):
            request = pb.GetItemsRequest(index=self.name, ids=some, with_vectors=True)
            response = await self._link.call(self._stub.GetItems, request, timeout)
            if len(response.items) != len(some):
                raise missing_item(some, response.items)
            rows.append(vector_array(response.vectors))
        return np.concatenate(rows)

    async def images(self, ids: str | Iterable[str], *, timeout: float | None = None) -> dict[str, bytes]:
        """The kept image files of items, by id; those that are not kept are left out."""
        messages = self._got(ids, MAX_IMAGES, timeout, with_images=True)
        return {message.id: message.image async for message in messages if message.image}

    async def _add_images(
        self, images: AsyncImagesLike, progress: bool, timeout: float | None, **described: Any
    ) -> AddSummary:
        count = count_hint(images)
        adding = Adding(self.name, self.label_field, count, **described)
        return await self._run(adding, adding.images_async(achunks(images)), count, progress, timeout)

    async def _add_vectors(
        self, vectors: object, fingerprint: str | None, timeout: float | None, **described: Any
    ) -> AddSummary:
        rows, fingerprint = vector_rows(vectors, fingerprint)
        check_ids(described["ids"], len(rows))
        adding = Adding(self.name, self.label_field, len(rows), **described)
        return await self._run(adding, adding.vectors_async(rows, fingerprint), len(rows), False, timeout)

    async def _run(
        self,
        adding: Adding,
        requests: AsyncIterator[pb.AddItemsStreamRequest],
        count: int | None,
        progress: bool,
        timeout: float | None,
    ) -> AddSummary:
        answers = exchange_async(self._stub.AddItemsStream, requests, self._link.endpoint, timeout)
        with progress_bar(progress, count, "add") as advance:
            async with contextlib.aclosing(answers):
                async for answer in answers:
                    advance(adding.answer(answer))
        return adding.summary()

    async def _got(
        self, ids: str | Iterable[str], size: int, timeout: float | None, *, with_images: bool = False
    ) -> AsyncGenerator[pb.Item, None]:
        for some in batches(ids, size):
            request = pb.GetItemsRequest(index=self.name, ids=some, with_images=with_images)
            response = await self._link.call(self._stub.GetItems, request, timeout)
            for message in response.items:
                yield message

    @property
    def _stub(self) -> Any:
        return self._link.stub(index_pb2_grpc.IndexServiceStub)
