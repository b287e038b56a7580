"""Items of an index: added, replaced, removed, listed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from penult._chunks import chunks
from penult._datasets import new_request_id
from penult._exchange import exchange
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
from penult._link import Link
from penult._progress import progress_bar
from penult.index_types import AddSummary, IndexInfo, Item, RemoveSummary, Vectors
from penult.sources import count_hint
from penult.v1 import index_pb2 as pb
from penult.v1 import index_pb2_grpc

if TYPE_CHECKING:
    from penult.sources import ImagesLike
    from penult.types import FeatureBatch, Features


class IndexItems(IndexInfo):
    """The part of `Index` that is about its items."""

    _link: Link

    def add(
        self,
        images: ImagesLike,
        *,
        ids: Iterable[str] | None = None,
        metadata: Metadata | None = None,
        labels: str | Iterable[str | None] | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> AddSummary:
        """Adds any number of images. What is there already stays as it is, so a repeat adds nothing.

        Args:
            images: whatever `Client.extract` takes; read lazily.
            ids: of the items, any text up to 512 bytes; the default is the path, else the sha256.
            metadata: values that JSON can hold, for each image, or one mapping for all.
            labels: for each image, or one for all; kept in the metadata as `label_field`.
            progress: draws a bar on standard error, if that is a terminal.
            timeout: seconds for each answer of the stream.

        Returns:
            What was added, what was there, and the items that were refused; those also warn with
            SkippedImages.

        Raises:
            InvalidArgument: the number of ids, metadata or labels is not that of the images. What was sent
                before that showed is added.
        """
        return self._add_images(
            images, progress, timeout, ids=ids, metadata=metadata, labels=labels, upsert=False
        )

    def add_vectors(
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
        return self._add_vectors(
            vectors, fingerprint, timeout, ids=list(ids), metadata=metadata, labels=labels, upsert=False
        )

    def upsert(
        self,
        images: ImagesLike | None = None,
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
            return self._add_images(given, progress, timeout, ids=ids, **described)
        return self._add_vectors(vectors, fingerprint, timeout, ids=list(ids or ()), **described)

    def remove(self, ids: str | Iterable[str], *, timeout: float | None = None) -> RemoveSummary:
        """Removes items; no search that begins afterwards finds them."""
        removed = missing = 0
        for some in batches(ids, MAX_REMOVED):
            request = pb.RemoveItemsRequest(index=self.name, ids=some, request_id=new_request_id())
            response = self._link.call(self._stub.RemoveItems, request, timeout)
            removed, missing = removed + response.removed, missing + response.missing
        return RemoveSummary(removed, missing)

    def items(self, filter: str | None = None, *, timeout: float | None = None) -> Iterator[Item]:
        """Items whose metadata matches, in the order added; pages are fetched as they are needed.

        `filter` is such as 'price < 20 and color in ["red", "blue"]'; docs/indexes.md has the grammar.
        """
        request = pb.ListItemsRequest(index=self.name, page_size=PAGE_SIZE, filter=filter or "")
        while True:
            page = self._link.call(self._stub.ListItems, request, timeout)
            yield from map(item, page.items)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def get(self, ids: str | Iterable[str], *, timeout: float | None = None) -> list[Item]:
        """Those of the items that there are, in the order asked."""
        return [item(message) for message in self._got(ids, MAX_IDS, timeout)]

    def vectors(self, ids: str | Iterable[str], *, timeout: float | None = None) -> Vectors:
        """Vectors of items as they were added, float32 (N, dim). Raises NotFound where one is missing."""
        rows = [np.empty((0, self.dim), np.float32)]
        for some in batches(ids, MAX_IDS):
            request = pb.GetItemsRequest(index=self.name, ids=some, with_vectors=True)
            response = self._link.call(self._stub.GetItems, request, timeout)
            if len(response.items) != len(some):
                raise missing_item(some, response.items)
            rows.append(vector_array(response.vectors))
        return np.concatenate(rows)

    def images(self, ids: str | Iterable[str], *, timeout: float | None = None) -> dict[str, bytes]:
        """The kept image files of items, by id; those that are not kept are left out."""
        messages = self._got(ids, MAX_IMAGES, timeout, with_images=True)
        return {message.id: message.image for message in messages if message.image}

    def _add_images(
        self, images: ImagesLike, progress: bool, timeout: float | None, **described: Any
    ) -> AddSummary:
        count = count_hint(images)
        adding = Adding(self.name, self.label_field, count, **described)
        return self._run(adding, adding.images(chunks(images)), count, progress, timeout)

    def _add_vectors(
        self, vectors: object, fingerprint: str | None, timeout: float | None, **described: Any
    ) -> AddSummary:
        rows, fingerprint = vector_rows(vectors, fingerprint)
        check_ids(described["ids"], len(rows))
        adding = Adding(self.name, self.label_field, len(rows), **described)
        return self._run(adding, adding.vectors(rows, fingerprint), len(rows), False, timeout)

    def _run(
        self,
        adding: Adding,
        requests: Iterator[pb.AddItemsStreamRequest],
        count: int | None,
        progress: bool,
        timeout: float | None,
    ) -> AddSummary:
        answers = exchange(self._stub.AddItemsStream, requests, self._link.endpoint, timeout)
        with progress_bar(progress, count, "add") as advance, contextlib.closing(answers):
            for answer in answers:
                advance(adding.answer(answer))
        return adding.summary()

    def _got(
        self, ids: str | Iterable[str], size: int, timeout: float | None, *, with_images: bool = False
    ) -> Iterator[pb.Item]:
        for some in batches(ids, size):
            request = pb.GetItemsRequest(index=self.name, ids=some, with_images=with_images)
            yield from self._link.call(self._stub.GetItems, request, timeout).items

    @property
    def _stub(self) -> Any:
        return self._link.stub(index_pb2_grpc.IndexServiceStub)
