"""Predictions from known features and heads."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import numpy as np
import pytest

from penult_server.core.classifier import Classifier, LoadedHeads, Part
from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.extract import ExtractFeatures, FeatureBatch
from penult_server.core.features import FeatureOptions
from penult_server.core.images import EncodedImage, ItemError, SourceImage
from penult_server.core.models import ModelReference
from penult_server.core.predict import PredictImages
from tests.unit.core.test_classifier import version

REFERENCE = ModelReference("a")
LABELS = ("bird", "cat", "dog")


class Head:
    """The feature is the probabilities; counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        self.calls += 1
        assert np.isfinite(features).all()
        return features


class Extract:
    """The feature of an image is what its bytes say: three digits, tenths. Others fail."""

    def __init__(self, fingerprint: str = "f") -> None:
        self.fingerprint = fingerprint

    async def extract(self, images: Sequence[SourceImage], options: FeatureOptions) -> FeatureBatch:
        return self.batch(images, options, 0)

    async def stream(
        self, batches: AsyncIterator[Sequence[SourceImage]], options: FeatureOptions
    ) -> AsyncIterator[FeatureBatch]:
        first = 0
        async for images in batches:
            yield self.batch(images, options, first)
            first += len(images)

    def batch(self, images: Sequence[Any], options: FeatureOptions, first: int) -> FeatureBatch:
        rows, errors = np.full((len(images), 3), np.nan, np.float32), []
        for n, image in enumerate(images):
            if image.data.isdigit():
                rows[n] = [int(digit) / 10 for digit in image.data.decode()]
                if options.backbone == "reversed":
                    rows[n] = rows[n, ::-1]
            else:
                errors.append(ItemError(first + n, image.id, "IMAGE_CORRUPT", "bad"))
        return FeatureBatch(rows, errors, [image.id for image in images], self.fingerprint, options.backbone)


class Heads:
    """Gives one classifier."""

    def __init__(self, *backbones: str, **changes: Any) -> None:
        self.head = Head()
        self.version = dataclasses.replace(version("a", 7), labels=LABELS, **changes)
        share = 1 / len(backbones or "b")
        self.parts = tuple(Part(name, "f", ((self.head, share),)) for name in backbones or ("b",))

    async def classifier(self, reference: ModelReference) -> Classifier:
        return Classifier(self.version, self.parts)


def predictor(heads: Heads, extract: Extract | None = None) -> PredictImages:
    return PredictImages(cast(LoadedHeads, heads), cast(ExtractFeatures, extract or Extract()))


def images(*data: bytes) -> list[SourceImage]:
    return [EncodedImage(each, f"id {n}") for n, each in enumerate(data)]


async def test_labels_come_likeliest_first_and_ties_in_the_order_of_the_classes() -> None:
    heads = Heads(threshold=0.5)
    batch = await predictor(heads).predict(REFERENCE, images(b"271", b"bad", b"442"), 2)
    first, failed, tie = batch.predictions
    assert failed is None
    assert first is not None
    assert tie is not None
    assert [label for label, _ in first.top] == ["cat", "bird"]
    assert first.top[0][1] == pytest.approx(0.7)
    assert [label for label, _ in tie.top] == ["bird", "cat"]
    assert (first.rejected, tie.rejected) == (False, True)
    assert [(error.index, error.id) for error in batch.errors] == [(1, "id 1")]
    assert (batch.version.version, heads.head.calls) == (7, 1)
    assert first.labels == ()
    every = (await predictor(heads).predict(REFERENCE, images(b"271"), 0)).predictions[0]
    assert every is not None
    assert len(every.top) == 3


async def test_a_multi_label_model_names_all_that_are_likely() -> None:
    batch = await predictor(Heads(multi_label=True)).predict(REFERENCE, images(b"594", b"111"), 1)
    first, second = batch.predictions
    assert first is not None
    assert second is not None
    assert (first.labels, second.labels) == (("cat", "bird"), ())
    assert len(first.top) == 1


async def test_a_stream_counts_images_through_and_asks_the_head_once_a_message() -> None:
    heads = Heads()

    async def messages() -> AsyncIterator[Sequence[SourceImage]]:
        for data in ((b"271", b"bad"), (), (b"bad",), (b"127", b"721")):
            yield images(*data)

    batches = [batch async for batch in predictor(heads).stream(REFERENCE, messages(), 1)]
    assert [[error.index for error in batch.errors] for batch in batches] == [[1], [], [2], []]
    labels = [[prediction and prediction.top[0][0] for prediction in batch.predictions] for batch in batches]
    assert labels == [["cat", None], [], [None], ["dog", "bird"]]
    assert heads.head.calls == 2


async def test_an_ensemble_reads_each_image_once_and_averages() -> None:
    heads = Heads("b", "reversed")

    async def messages() -> AsyncIterator[Sequence[SourceImage]]:
        for _ in range(30):
            yield images(b"703", b"bad", b"190")

    answers = [batch async for batch in predictor(heads).stream(REFERENCE, messages(), 3)]
    assert len(answers) == 30
    one = await predictor(heads).predict(REFERENCE, images(b"703", b"bad", b"190"), 3)
    for batch in (*answers, one):
        first, failed, second = batch.predictions
        assert failed is None
        assert first is not None
        assert second is not None
        assert dict(first.top) == pytest.approx({"bird": 0.5, "cat": 0.0, "dog": 0.5})
        assert dict(second.top) == pytest.approx({"bird": 0.05, "cat": 0.9, "dog": 0.05})
    assert [error.index for batch in answers for error in batch.errors] == list(range(1, 90, 3))


async def test_other_features_are_refused() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await predictor(Heads(), Extract("other")).predict(REFERENCE, images(b"271"), 1)
    assert caught.value.reason == "FINGERPRINT_MISMATCH"
    assert "a@7" in caught.value.message


async def test_top_k_is_bounded() -> None:
    with pytest.raises(InvalidArgument) as caught:
        await predictor(Heads()).predict(REFERENCE, images(b"271"), 1001)
    assert caught.value.field == "top_k"
