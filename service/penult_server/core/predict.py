"""Use case: images in, labels with probabilities out."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import numpy as np

from penult_server.core.classifier import Classifier, LoadedHeads, check_fingerprint
from penult_server.core.errors import InvalidArgument
from penult_server.core.extract import ExtractFeatures, FeatureBatch
from penult_server.core.features import FeatureOptions
from penult_server.core.fork import fork
from penult_server.core.images import ItemError, SourceImage
from penult_server.core.models import ModelReference, ModelVersion

DEFAULT_TOP_K = 5
MAX_TOP_K = 1000
LIKELY = 0.5
"""From this probability on an image has a label of a multi-label model."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        top: labels and probabilities, the likeliest first; of equal ones in the order of the classes.
        rejected: the likeliest is less probable than the model's threshold.
        labels: multi-label: those with a probability of at least LIKELY, the likeliest first.
    """

    top: tuple[tuple[str, float], ...]
    rejected: bool
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Predictions of some images, None for those in `errors`. `ids` is empty where no image has one."""

    predictions: list[Prediction | None]
    errors: list[ItemError]
    ids: list[str]
    version: ModelVersion


class PredictImages:
    """Classifies batches and streams with the features of ExtractFeatures."""

    def __init__(self, heads: LoadedHeads, extract: ExtractFeatures) -> None:
        """`extract` computes the features, with its bounds and priorities."""
        self._heads = heads
        self._extract = extract

    async def predict(
        self, reference: ModelReference, images: Sequence[SourceImage], top_k: int
    ) -> PredictionBatch:
        """Predictions of one batch, ahead of all streams.

        Raises:
            InvalidArgument: `top_k` is too large, no images or too many.
            NotFound: no such model, version or alias, or its backbone is gone.
            FailedPrecondition: FINGERPRINT_MISMATCH.
            DataLoss: MODEL_DAMAGED.
            ResourceExhausted: the server is full.
        """
        k = _checked(top_k)
        classifier = await self._heads.classifier(reference)
        # One after the other: they share the device.
        batches = [
            await self._extract.extract(images, FeatureOptions(backbone=part.backbone))
            for part in classifier.parts
        ]
        return await _predicted(classifier, batches, 0, k)

    async def stream(
        self, reference: ModelReference, batches: AsyncIterator[Sequence[SourceImage]], top_k: int
    ) -> AsyncGenerator[PredictionBatch, None]:
        """Predictions of every batch, in order, bounded as a stream of features is.

        The version is the one that the reference meant at the start. Raises as `predict` does, but waits
        for room instead of refusing.
        """
        k = _checked(top_k)
        classifier = await self._heads.classifier(reference)
        first_index = 0
        async with contextlib.AsyncExitStack() as stack:
            sources = await stack.enter_async_context(fork(batches, len(classifier.parts)))
            streams = []
            for part, source in zip(classifier.parts, sources, strict=True):
                stream = self._extract.stream(source, FeatureOptions(backbone=part.backbone))
                streams.append(await stack.enter_async_context(contextlib.aclosing(stream)))
            async for batch in streams[0]:
                others = [await anext(stream) for stream in streams[1:]]
                yield await _predicted(classifier, [batch, *others], first_index, k)
                first_index += len(batch.features)


def _checked(top_k: int) -> int:
    if top_k > MAX_TOP_K:
        raise InvalidArgument("BAD_TOP_K", f"top_k {top_k} is above {MAX_TOP_K}", field="top_k")
    return top_k or DEFAULT_TOP_K


async def _predicted(
    classifier: Classifier, batches: Sequence[FeatureBatch], first_index: int, top_k: int
) -> PredictionBatch:
    for part, batch in zip(classifier.parts, batches, strict=True):
        check_fingerprint(classifier.version.reference, part.backbone, part.fingerprint, batch.fingerprint)
    errors = {error.index: error for batch in reversed(batches) for error in batch.errors}
    count = len(batches[0].features)
    good = np.setdiff1d(np.arange(count), [index - first_index for index in errors])
    predictions: list[Prediction | None] = [None] * count
    if len(good):
        # Off the event loop, and once for all images of the message.
        ranked = await asyncio.to_thread(
            lambda: _ranked(
                classifier.probabilities([batch.features[good] for batch in batches]),
                classifier.version,
                top_k,
            )
        )
        for position, prediction in zip(good, ranked, strict=True):
            predictions[position] = prediction
    ordered = [errors[index] for index in sorted(errors)]
    return PredictionBatch(predictions, ordered, batches[0].ids, classifier.version)


def _ranked(probabilities: np.ndarray, version: ModelVersion, top_k: int) -> list[Prediction]:
    labels, threshold = version.labels, version.threshold
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sorted_rows = np.take_along_axis(probabilities, order, axis=1)
    predictions = []
    for places, values in zip(order.tolist(), sorted_rows.tolist(), strict=True):
        ranked = [(labels[place], value) for place, value in zip(places[:top_k], values, strict=False)]
        likely = sum(value >= LIKELY for value in values) if version.multi_label else 0
        predictions.append(
            Prediction(
                tuple(ranked),
                threshold is not None and values[0] < threshold,
                tuple(labels[place] for place in places[:likely]),
            )
        )
    return predictions
