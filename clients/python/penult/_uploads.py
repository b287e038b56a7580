"""Examples of a collection by one stream, with a bounded number of images under way."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from penult._aligned import Aligned
from penult._channel import Endpoint
from penult._chunks import Chunk
from penult._datasets import Labels, label_tuple, new_request_id, split_number
from penult._duplex import AsyncDuplex, Duplex
from penult._status import translated
from penult.dataset_types import SplitName, UploadSummary
from penult.errors import SkippedImages
from penult.sources import count_hint
from penult.types import ItemError
from penult.v1 import dataset_pb2 as pb

Request = pb.UploadExamplesRequest


class Described:
    """What is said of each image, read along with the images. See `Datasets.add` for the arguments."""

    def __init__(
        self,
        images: object,
        labels: Labels | Iterable[Labels | None] | None,
        split: SplitName | Iterable[SplitName | None] | None,
        metadata: Iterable[Mapping[str, Any] | None] | Mapping[str, Any] | None,
        ids: Iterable[str] | None,
    ) -> None:
        """Raises InvalidArgument where the numbers are known not to fit."""
        self._aligned = Aligned(count_hint(images))
        self._labels = self._aligned.each("labels", labels)
        self._splits = self._aligned.each("split", split)
        self._metadata = self._aligned.each("metadata", metadata)
        self._ids = self._aligned.each("ids", ids)

    def request(self, chunk: Chunk) -> Request:
        """The message for a chunk. Raises InvalidArgument where an image has nothing left for it."""
        examples = []
        for image, path in zip(chunk.images, chunk.names, strict=True):
            given = next(self._ids)
            image.id = os.path.basename(path) if given is None else given
            metadata = next(self._metadata)
            examples.append(
                pb.NewExample(
                    image=image,
                    labels=label_tuple(next(self._labels)),
                    split=split_number(next(self._splits)),
                    metadata_json="" if metadata is None else json.dumps(metadata, ensure_ascii=False),
                )
            )
        self._aligned.used += len(examples)
        return Request(examples=examples)

    def check_used(self) -> None:
        """Raises InvalidArgument where more was given than there were images: it was meant otherwise."""
        self._aligned.check_used()


class Tally:
    """Chunks under way, and the sum of what was acknowledged. Answers come in the order of the chunks."""

    def __init__(self) -> None:
        self._sent: deque[Chunk] = deque()
        self._first = 0
        self._added = self._unchanged = 0
        self._errors: list[ItemError] = []

    def push(self, chunk: Chunk) -> None:
        """Remembers what the answer will need; the images themselves are not kept."""
        self._sent.append(Chunk(names=chunk.names, faults=chunk.faults))

    def answer(self, response: pb.UploadExamplesResponse) -> int:
        """Counts the answer to the oldest chunk; the number of its images."""
        chunk = self._sent.popleft()
        for error in response.errors:
            position = error.index - self._first
            reason, message = error.reason, error.message
            if fault := chunk.faults.get(position):  # the server saw an empty image
                reason, message = fault.reason, fault.message
            self._errors.append(ItemError(error.index, reason, message, chunk.names[position]))
        self._added += response.added
        self._unchanged += response.unchanged
        self._first += len(chunk.names)
        return len(chunk.names)

    def summary(self) -> UploadSummary:
        """All answers together. Warns with SkippedImages where images were refused."""
        if self._errors:
            warnings.warn(
                SkippedImages(f"{len(self._errors)} images were not added, the first: {self._errors[0]}"),
                stacklevel=3,
            )
        return UploadSummary(self._added, self._unchanged, tuple(self._errors))


def upload(
    method: Callable[..., Any],
    name: str,
    source: Iterator[Chunk],
    described: Described,
    tally: Tally,
    endpoint: Endpoint,
    timeout: float | None,
) -> Generator[int, None, None]:
    """Sends everything, and yields the number of images of each answer. Raises PenultError.

    `timeout` bounds the wait for each answer.
    """
    with translated(endpoint.target), contextlib.closing(Duplex(method, endpoint, timeout)) as stream:
        stream.send(Request(dataset=name, request_id=new_request_id()), 0)
        stream.answer()  # so that an unknown dataset is told at once
        for chunk in source:
            stream.send(described.request(chunk), chunk.size)
            tally.push(chunk)
            if stream.full:
                yield tally.answer(stream.answer())
        described.check_used()
        for answer in stream.rest():
            yield tally.answer(answer)


async def upload_async(
    method: Callable[..., Any],
    name: str,
    source: AsyncIterator[Chunk],
    described: Described,
    tally: Tally,
    endpoint: Endpoint,
    timeout: float | None,
) -> AsyncGenerator[int, None]:
    """The same for asyncio."""
    with translated(endpoint.target), contextlib.closing(AsyncDuplex(method, endpoint, timeout)) as stream:
        stream.send(Request(dataset=name, request_id=new_request_id()), 0)
        await stream.answer()
        async for chunk in source:
            stream.send(described.request(chunk), chunk.size)
            tally.push(chunk)
            if stream.full:
                yield tally.answer(await stream.answer())
        described.check_used()
        async for answer in stream.rest():
            yield tally.answer(answer)
