"""Messages of IndexService about items: what is added, what is found."""

from __future__ import annotations

import json
import os
import warnings
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from penult._aligned import Aligned, wrong_count
from penult._chunks import Chunk
from penult._datasets import new_request_id
from penult._tensors import tensor_array, tensor_message
from penult.errors import InvalidArgument, NotFound, SkippedImages
from penult.index_types import AddSummary, Item
from penult.types import FeatureBatch, ItemError
from penult.v1 import index_pb2 as pb
from penult.v1 import tensor_pb2

MAX_IDS = 1000
MAX_REMOVED = 10_000
MAX_IMAGES = 32
_CHUNK_BYTES = 2 << 20
_CHUNK_ROWS = 2048

Metadata = Iterable[Mapping[str, Any] | None] | Mapping[str, Any]


class Adding:
    """What is said of each item, the messages that say it, and the sum of what was acknowledged."""

    def __init__(
        self,
        index: str,
        label_field: str,
        count: int | None,
        *,
        ids: Iterable[str] | None,
        metadata: Metadata | None,
        labels: str | Iterable[str | None] | None,
        upsert: bool,
    ) -> None:
        """Raises InvalidArgument where the numbers are known not to fit."""
        self._index = index
        self._label_field = label_field
        self._mode = pb.ADD_MODE_UPSERT if upsert else pb.ADD_MODE_ADD
        self._aligned = Aligned(count)
        if isinstance(ids, str):
            raise InvalidArgument("ids: give an iterable of them", reason="COUNT_MISMATCH")
        self._ids = self._aligned.each("ids", ids)
        self._metadata = self._aligned.each("metadata", metadata)
        self._labels = self._aligned.each("labels", labels)
        self._sent: deque[tuple[Sequence[str], Mapping[int, Any]]] = deque()
        self._first = 0
        self._counts = [0, 0, 0]
        self._errors: list[ItemError] = []

    def images(self, chunks: Iterator[Chunk]) -> Iterator[pb.AddItemsStreamRequest]:
        """The messages of a collection of images; the first comes alone."""
        yield self._opening()
        for chunk in chunks:
            yield self._of_images(chunk)
        self._aligned.check_used()

    async def images_async(self, chunks: AsyncIterator[Chunk]) -> AsyncIterator[pb.AddItemsStreamRequest]:
        """The same for asyncio."""
        yield self._opening()
        async for chunk in chunks:
            yield self._of_images(chunk)
        self._aligned.check_used()

    def vectors(self, vectors: np.ndarray[Any, Any], fingerprint: str) -> Iterator[pb.AddItemsStreamRequest]:
        """The messages of vectors (N, dim)."""
        yield self._opening()
        rows = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // max(1, vectors[:1].nbytes)))
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            items = [self._item() for _ in range(len(part))]
            names = [item.id for item in items]
            self._sent.append((names, {}))
            yield pb.AddItemsStreamRequest(
                items=pb.NewItems(
                    items=items, vectors=tensor_message(part), fingerprint=fingerprint, mode=self._mode
                )
            )
        self._aligned.check_used()

    async def vectors_async(
        self, vectors: np.ndarray[Any, Any], fingerprint: str
    ) -> AsyncIterator[pb.AddItemsStreamRequest]:
        """The same for asyncio."""
        for request in self.vectors(vectors, fingerprint):
            yield request

    def answer(self, response: pb.AddItemsStreamResponse) -> int:
        """Counts the answer to the oldest message; the number of its items."""
        receipt = response.receipt
        names, faults = self._sent.popleft()
        for error in receipt.errors:
            position = error.index - self._first
            reason, message = error.reason, error.message
            if fault := faults.get(position):  # the server saw an empty image
                reason, message = fault.reason, fault.message
            self._errors.append(ItemError(error.index, reason, message, names[position]))
        for place, count in enumerate((receipt.added, receipt.updated, receipt.unchanged)):
            self._counts[place] += count
        self._first += len(names)
        return len(names)

    def summary(self) -> AddSummary:
        """All answers together. Warns with SkippedImages where items were refused."""
        if self._errors:
            warnings.warn(
                SkippedImages(f"{len(self._errors)} items were not added, the first: {self._errors[0]}"),
                stacklevel=3,
            )
        added, updated, unchanged = self._counts
        return AddSummary(added, updated, unchanged, tuple(self._errors))

    def _opening(self) -> pb.AddItemsStreamRequest:
        self._sent.append(((), {}))
        return pb.AddItemsStreamRequest(index=self._index, request_id=new_request_id())

    def _of_images(self, chunk: Chunk) -> pb.AddItemsStreamRequest:
        items, names = [], []
        for image, path in zip(chunk.images, chunk.names, strict=True):
            item = self._item(os.fspath(path))
            item.image.CopyFrom(image)
            items.append(item)
            names.append(path or item.id)
        self._sent.append((names, chunk.faults))
        return pb.AddItemsStreamRequest(items=pb.NewItems(items=items, mode=self._mode))

    def _item(self, default_id: str = "") -> pb.NewItem:
        given, metadata, label = next(self._ids), next(self._metadata), next(self._labels)
        self._aligned.used += 1
        values = dict(metadata or {})
        if label is not None:
            values[self._label_field] = label
        text = json.dumps(values, ensure_ascii=False) if values else ""
        return pb.NewItem(id=default_id if given is None else given, metadata_json=text)


def vector_rows(vectors: object, fingerprint: str | None) -> tuple[np.ndarray[Any, Any], str]:
    """Vectors (N, dim) and their fingerprint, from an array or a FeatureBatch. Raises InvalidArgument."""
    if isinstance(vectors, FeatureBatch):
        fingerprint = fingerprint or vectors.fingerprint
        vectors = vectors.features
    try:
        rows = np.asarray(vectors)
        if rows.dtype != np.float16:
            rows = rows.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"vectors: {error}", reason="BAD_VECTORS") from None
    if rows.ndim != 2:
        raise InvalidArgument(
            f"vectors have {rows.ndim} dimensions", reason="BAD_VECTORS", hint="give an array (N, dim)"
        )
    return np.ascontiguousarray(rows), fingerprint or ""


def check_ids(ids: Sequence[str], rows: int) -> None:
    """Raises InvalidArgument unless there is one for each row."""
    if len(ids) != rows:
        raise wrong_count("ids", f"{len(ids)} for {rows} vectors")


def batches(ids: str | Iterable[str], size: int) -> Iterator[list[str]]:
    """Ids, as many as one call takes at a time."""
    every = [ids] if isinstance(ids, str) else list(ids)
    for start in range(0, len(every), size):
        yield every[start : start + size]


def item(message: pb.Item) -> Item:
    """The item without its message."""
    return Item(message.id, json.loads(message.metadata_json or "{}"), message.image_sha256)


def vector_array(message: tensor_pb2.Tensor) -> np.ndarray[Any, Any]:
    """The tensor as an array."""
    return tensor_array(message)


def missing_item(ids: Sequence[str], messages: Iterable[pb.Item]) -> NotFound:
    """The error for the first id that has no item."""
    there = {message.id for message in messages}
    missing = next(item_id for item_id in ids if item_id not in there)
    return NotFound(f"the index has no item {missing!r}", reason="ITEM_NOT_FOUND")
