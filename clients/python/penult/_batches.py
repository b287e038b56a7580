"""From responses to batches: matching each with the images it answers, and applying `on_error`."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import numpy as np

from penult._chunks import Chunk
from penult._images import BadImage
from penult._tensors import tensor_array
from penult.errors import Internal, ItemFailed
from penult.types import FeatureBatch, ItemError, OnError
from penult.v1 import feature_pb2

B = TypeVar("B")
Response = feature_pb2.ExtractResponse | feature_pb2.ExtractStreamResponse


@dataclasses.dataclass(frozen=True, slots=True)
class _Sent:
    names: tuple[str, ...]
    faults: dict[int, BadImage]


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """What is known of the images of a message that was answered.

    `names` are their paths, "" for images without one; `errors` those that failed, by position in the
    whole call.
    """

    names: tuple[str, ...]
    first_index: int
    errors: tuple[ItemError, ...]


class Pending(Generic[B]):
    """Chunks that were sent and not yet answered. Answers come in the order of the requests."""

    def __init__(self, batch: Callable[[Any, Answered], B]) -> None:
        """`batch` makes a result of a response; it may raise Internal."""
        self._batch = batch
        self._sent: deque[_Sent] = deque()
        self._answered = 0

    def push(self, chunk: Chunk) -> None:
        """Remembers what the answer will need; the images themselves are not kept."""
        self._sent.append(_Sent(tuple(chunk.names), chunk.faults))

    def answer(self, response: Any) -> B:
        """The result for the oldest chunk. Raises Internal."""
        sent = self._sent.popleft()
        first = self._answered
        self._answered += len(sent.names)
        errors = {
            error.index: ItemError(error.index, error.reason, error.message, _name(sent, error.index - first))
            for error in response.errors
        }
        for position, fault in sent.faults.items():  # the server saw these as empty images
            index = first + position
            errors[index] = ItemError(index, fault.reason, fault.message, sent.names[position])
        return self._batch(
            response, Answered(sent.names, first, tuple(errors[index] for index in sorted(errors)))
        )


def feature_batch(response: Response, answered: Answered) -> FeatureBatch:
    """Features with NaN rows for images that failed. Raises Internal."""
    features = tensor_array(response.features)
    if features.ndim != 2 or len(features) != len(answered.names):
        raise Internal(
            f"the server sent features {features.shape} for {len(answered.names)} images", reason="BAD_TENSOR"
        )
    return FeatureBatch(
        features=features,
        names=answered.names,
        fingerprint=response.fingerprint,
        backbone=response.backbone,
        errors=answered.errors,
        first_index=answered.first_index,
    )


def batch_part(batch: FeatureBatch, start: int, stop: int) -> FeatureBatch:
    """The rows from `start` to `stop`, as the batch of a call of their own."""
    return dataclasses.replace(
        batch,
        features=batch.features[start:stop],
        names=batch.names[start:stop],
        errors=errors_part(batch.errors, start, stop),
    )


def errors_part(errors: Iterable[ItemError], start: int, stop: int) -> tuple[ItemError, ...]:
    """Those of the images from `start` to `stop`, numbered from there."""
    return tuple(
        dataclasses.replace(error, index=error.index - start)
        for error in errors
        if start <= error.index < stop
    )


def _name(sent: _Sent, position: int) -> str:
    return sent.names[position] if 0 <= position < len(sent.names) else ""


def apply_on_error(batch: FeatureBatch, on_error: OnError) -> FeatureBatch:
    """Raises ItemFailed for "raise", drops rows for "skip", keeps NaN rows for "return"."""
    if not batch.errors or on_error == "return":
        return batch
    if on_error == "raise":
        raise ItemFailed.of(batch.errors)
    keep = np.ones(len(batch.names), dtype=bool)
    keep[[error.index - batch.first_index for error in batch.errors]] = False
    return dataclasses.replace(
        batch,
        features=batch.features[keep],
        names=tuple(name for name, kept in zip(batch.names, keep, strict=True) if kept),
    )
