"""Use case: take any number of images into a dataset, in bounded memory, durable when acknowledged."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

from penult_server.core.admission import Admission
from penult_server.core.dataset_ports import DatasetStore, ImageChecker
from penult_server.core.datasets import (
    Candidate,
    CheckedImage,
    Dataset,
    ExampleError,
    NewExample,
    Quota,
    Receipt,
    UploadMessage,
    check_new,
)
from penult_server.core.errors import InvalidArgument
from penult_server.core.images import EncodedImage, ImageError, ItemError, size_of

# Messages of one upload inside the server at once. While some are committed the next are decoded, and
# all that are ready then share one transaction.
UPLOAD_DEPTH = 8


@dataclasses.dataclass(eq=False, slots=True)
class _Inside:
    """A message between its arrival and its receipt."""

    size: int
    task: asyncio.Task[UploadMessage | Receipt]


class UploadExamples:
    """Checks examples in the decode threads and commits them in groups."""

    def __init__(
        self, store: DatasetStore, checker: ImageChecker, room: Admission, *, max_images: int, quota: Quota
    ) -> None:
        """`room` counts bytes of all uploads together; `max_images`: most examples in one message."""
        self._quota = quota
        self._store = store
        self._checker = checker
        self._room = room
        self._max_images = max_images

    async def stream(
        self, name: str, request_id: str, messages: AsyncIterator[Sequence[NewExample]]
    ) -> AsyncGenerator[Receipt, None]:
        """A receipt for each message, in order, once its examples are durable.

        A client that reads no receipts, or sends more than there is room for, is not read any further.

        Raises:
            NotFound: there is no such dataset, or it was deleted meanwhile.
            InvalidArgument: too many examples in a message, or a repeated upload that is another one.
            ResourceExhausted: the disk or the dataset's quota is full. What was acknowledged stays.
        """
        dataset = await asyncio.to_thread(self._store.get, name, classes=False)
        known: Mapping[int, Receipt] = {}
        if request_id:
            known = await asyncio.to_thread(self._store.receipts, dataset, request_id)
        usage = _Usage(self._quota, dataset)
        inside: set[_Inside] = set()
        queue: asyncio.Queue[_Inside | None] = asyncio.Queue(UPLOAD_DEPTH)
        reader = asyncio.create_task(self._read(dataset, known, messages, inside, queue))
        try:
            while group := await _next_group(queue):
                checked = [await message.task for message in group]
                new = [message for message in checked if isinstance(message, UploadMessage)]
                usage.check(new)
                receipts = await asyncio.to_thread(self._store.add, dataset, request_id, new) if new else ()
                usage.add(new, receipts)
                added = iter(receipts)
                for message in group:
                    inside.discard(message)
                    self._room.leave(message.size)
                for answer in checked:
                    yield next(added) if isinstance(answer, UploadMessage) else answer
            await reader  # raises what stopped the intake
        finally:
            reader.cancel()
            for message in inside:
                message.task.cancel()
                self._room.leave(message.size)

    async def _read(
        self,
        dataset: Dataset,
        known: Mapping[int, Receipt],
        messages: AsyncIterator[Sequence[NewExample]],
        inside: set[_Inside],
        queue: asyncio.Queue[_Inside | None],
    ) -> None:
        first_index = 0
        try:
            async for examples in messages:
                self._check_count(examples)
                size = sum(size_of(example.image) for example in examples)
                await self._room.wait_and_enter(size)
                task = asyncio.create_task(
                    self._check(dataset, known.get(first_index), first_index, examples)
                )
                message = _Inside(size, task)
                inside.add(message)
                first_index += len(examples)
                await queue.put(message)
        except asyncio.CancelledError:
            raise  # nobody waits for the end mark
        except BaseException:
            await queue.put(None)
            raise
        await queue.put(None)

    async def _check(
        self, dataset: Dataset, receipt: Receipt | None, first_index: int, examples: Sequence[NewExample]
    ) -> UploadMessage | Receipt:
        if not examples:
            return Receipt(first_index, 0, 0, 0, [])
        if receipt is not None and receipt.count == len(examples):
            return receipt
        if receipt is not None:
            raise InvalidArgument(
                "REQUEST_ID_REUSED",
                f"the message at {first_index} held {receipt.count} examples before, now {len(examples)}",
                field="request_id",
                hint="repeat an upload with the same messages, or give it a new request_id",
            )
        images = await self._checker.check([example.image for example in examples])
        candidates: list[Candidate] = []
        errors: list[ItemError] = []
        for index, (example, image) in enumerate(zip(examples, images, strict=True), first_index):
            item_id = example.image.id[:80]
            if isinstance(image, ImageError):
                errors.append(ItemError(index, item_id, image.fault.value, image.message))
                continue
            try:
                valid = check_new(example, multi_label=dataset.multi_label)
            except ExampleError as error:
                errors.append(error.item(index, item_id))
                continue
            candidates.append(_candidate(index, image, valid))
        return UploadMessage(first_index, len(examples), candidates, errors)

    def _check_count(self, examples: Sequence[NewExample]) -> None:
        if len(examples) > self._max_images:
            raise InvalidArgument(
                "TOO_MANY_IMAGES",
                f"{len(examples)} examples in one message; at most {self._max_images} are taken",
                field="examples",
                hint="send more messages with fewer examples each",
            )


class _Usage:
    """What one upload has added to a dataset; until it is known how much of a group is new, all counts."""

    def __init__(self, quota: Quota, dataset: Dataset) -> None:
        self._quota = quota
        self._dataset = dataset
        self._examples = self._bytes = 0

    def check(self, messages: Sequence[UploadMessage]) -> None:
        examples = sum(len(message.candidates) for message in messages)
        size = sum(map(_stored, messages))
        self._quota.check(self._dataset, self._examples + examples, self._bytes + size)

    def add(self, messages: Sequence[UploadMessage], receipts: Sequence[Receipt]) -> None:
        for message, receipt in zip(messages, receipts, strict=True):
            self._examples += receipt.added
            self._bytes += _stored(message) if receipt.added else 0


def _stored(message: UploadMessage) -> int:
    return sum(len(candidate.image.data) for candidate in message.candidates)


async def _next_group(queue: asyncio.Queue[_Inside | None]) -> list[_Inside]:
    """The next message and all that wait behind it; none at the end."""
    group = []
    message = await queue.get()
    while message is not None:
        group.append(message)
        if queue.empty():
            return group
        message = queue.get_nowait()
    if group:
        queue.put_nowait(None)  # the end is for the next call
    return group


def _candidate(index: int, image: CheckedImage, example: NewExample) -> Candidate:
    # The checked bytes are what is kept: the sent ones need not stay in memory beside them.
    return Candidate(index, image, dataclasses.replace(example, image=EncodedImage(b"", example.image.id)))
