"""Searches: what a caller looks for as messages, and answers as hits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penult._achunks import achunks
from penult._chunks import Chunk, chunks
from penult._hits import hits
from penult._items import vector_rows
from penult._tensors import pack
from penult.errors import InvalidArgument, ItemFailed
from penult.index_types import Hit
from penult.sources import is_single_image
from penult.tta import TTA, tta_message
from penult.types import FeatureBatch, ItemError
from penult.v1 import index_pb2 as pb

if TYPE_CHECKING:
    from penult._achunks import AsyncImagesLike

_ROWS = 256


class Search:
    """One search call: its queries, as messages of one stream or a single one."""

    def __init__(
        self,
        index: str,
        images: Any,
        vector: Any,
        id: str | Iterable[str] | None,
        *,
        k: int,
        filter: str | None,
        min_score: float | None,
        exclude: str | Iterable[str],
        with_vectors: bool,
        tta: TTA,
        fingerprint: str | None,
    ) -> None:
        """Raises InvalidArgument unless exactly one of images, vector and id is given."""
        if sum(given is not None for given in (images, vector, id)) != 1:
            raise InvalidArgument(
                "give either an image, a vector or an id to search by", reason="QUERIES_MIXED"
            )
        self._images = images
        self._ids = None if id is None else [id] if isinstance(id, str) else list(id)
        self._vectors: np.ndarray[Any, Any] | None = None
        one_vector = False
        if vector is not None:
            one_vector = not isinstance(vector, FeatureBatch) and np.ndim(vector) == 1
            self._vectors, fingerprint = vector_rows([vector] if one_vector else vector, fingerprint)
        self.single = isinstance(id, str) or one_vector or (images is not None and is_single_image(images))
        self._common = pb.SearchRequest(
            index=index,
            k=k,
            filter=filter or "",
            min_score=min_score,
            exclude_ids=[exclude] if isinstance(exclude, str) else exclude,
            with_vectors=with_vectors,
            query_tta=tta_message(tta),
            fingerprint=fingerprint or "",
            in_columns=True,
        )
        if not 0 < k < 1 << 31:
            raise InvalidArgument(f"k is {k}", reason="K_INVALID", hint="give a number from 1 to 10000")

    def requests(self) -> Iterator[tuple[pb.SearchRequest, Chunk | None]]:
        """All messages, with the chunk where it is of images."""
        if self._images is not None:
            for chunk in chunks(self._images):
                yield self._of_images(chunk), chunk
        else:
            yield from self._of_rows()

    async def requests_async(self) -> AsyncIterator[tuple[pb.SearchRequest, Chunk | None]]:
        """The same for asyncio."""
        if self._images is not None:
            images: AsyncImagesLike = self._images
            async for chunk in achunks(images):
                yield self._of_images(chunk), chunk
        else:
            for pair in self._of_rows():
                yield pair

    def _of_images(self, chunk: Chunk) -> pb.SearchRequest:
        request = self._message()
        request.images.extend(chunk.images)
        return request

    def _of_rows(self) -> Iterator[tuple[pb.SearchRequest, None]]:
        rows: Any = self._ids if self._vectors is None else self._vectors
        for start in range(0, len(rows), _ROWS):
            request, part = self._message(), rows[start : start + _ROWS]
            if self._vectors is None:
                request.ids.extend(part)
            else:
                pack(request.vectors, part)
            yield request, None

    def _message(self) -> pb.SearchRequest:
        request = pb.SearchRequest()
        request.CopyFrom(self._common)
        return request


def found(response: pb.SearchResponse, chunk: Chunk | None, first: int) -> list[list[Hit]]:
    """The hits of each query, of which the first is number `first`. Raises ItemFailed where one failed."""
    if response.errors:
        raise ItemFailed.of([_error(error, chunk, first) for error in response.errors])
    return hits(response)


def only(results: Sequence[list[Hit]]) -> list[Hit]:
    """The hits of the one query."""
    (hits_of_it,) = results
    return hits_of_it


def _error(error: Any, chunk: Chunk | None, first: int) -> ItemError:
    reason, message, name = error.reason, error.message, error.id
    if chunk is not None:
        name = chunk.names[error.index]
        if fault := chunk.faults.get(error.index):  # the server saw an empty image
            reason, message = fault.reason, fault.message
    return ItemError(first + error.index, reason, message, name)
