"""Features of snapshots: what is computed, what is kept, and what a failing image or disk does."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from penult_server.core.dataset_features import CHUNK, DatasetFeatures, FeatureTable, load_features
from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.extract import ExtractFeatures, FeatureBatch
from penult_server.core.features import BackboneIdentity, view_fingerprints
from penult_server.core.images import EncodedImage, ItemError
from penult_server.core.job_ports import WorkerMessage
from penult_server.core.jobs import LogLine, Metrics, Progress
from penult_server.core.preprocess import PLAIN, Preprocess, TestTimeAugmentation
from penult_server.core.snapshot import SnapshotExample, image_file
from penult_server.store.feature_cache import FeatureCache

FLIP = TestTimeAugmentation(flip=True)
PREPROCESS = Preprocess((8, 8), (8, 8), "center", "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
DIM = 3


class KnownFeatures:
    """Stands for ExtractFeatures: the feature of an image is its length, its first byte and the view."""

    max_images = 256

    def __init__(self, weights: str = "w") -> None:
        self.identity = BackboneIdentity("net", weights, PREPROCESS)
        self.computed: list[bytes] = []

    @contextlib.asynccontextmanager
    async def identified(self, backbone: str) -> AsyncIterator[tuple[str, BackboneIdentity]]:
        yield backbone or "default", self.identity

    async def stream(
        self, batches: AsyncIterator[Sequence[EncodedImage]], options: Any, *, separate_views: bool
    ) -> AsyncIterator[FeatureBatch]:
        assert separate_views
        first = 0
        async for images in batches:
            self.computed += [image.data for image in images]
            rows = np.full((len(images), options.tta.views, DIM), np.nan, np.float32)
            errors = []
            for n, image in enumerate(images):
                if not image.data or image.data[:1] == b"!":
                    errors.append(ItemError(first + n, image.id, "IMAGE_CORRUPT", "it is damaged"))
                else:
                    rows[n] = feature(image.data, options.tta.views)
            yield FeatureBatch(rows, errors, [image.id for image in images], "", options.backbone)
            first += len(images)


def feature(data: bytes, views: int = 1) -> np.ndarray:
    return np.array([[len(data), data[0], view] for view in range(views)], np.float32)


class House:
    """A job's directory with images, a cache, and what was reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extract = KnownFeatures()
        self.cache = FeatureCache(folder / "features.db", 1 << 20)
        self.said: list[WorkerMessage] = []

    def examples(self, images: Sequence[bytes]) -> list[SnapshotExample]:
        found = []
        for data in images:
            sha256 = hashlib.sha256(data).hexdigest()
            for job in ("one", "two"):
                file = image_file(self.folder / job, sha256)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            found.append(SnapshotExample(sha256, ("a",), Split.TRAIN))
        return found

    async def collect(self, job: str, examples: Sequence[SnapshotExample], **options: Any) -> FeatureTable:
        async def report(messages: Sequence[WorkerMessage]) -> None:
            self.said += messages

        features = DatasetFeatures(cast(ExtractFeatures, self.extract), self.cache)
        return await features.collect(self.folder / job, examples, "", report, **options)

    def metrics(self) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for message in self.said:
            if isinstance(message, Metrics):
                found |= message.values
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def pictures(count: int) -> list[bytes]:
    return [bytes([65 + n % 26]) * (n + 1) for n in range(count)]


async def test_rows_are_in_order_and_a_second_time_nothing_is_computed(house: House) -> None:
    images = pictures(3 * CHUNK + 5)
    examples = house.examples(images)
    table = await house.collect("one", examples)
    rows = load_features(house.folder / "one")
    assert rows.shape == (len(images), 1, DIM)
    np.testing.assert_array_equal(rows, np.stack([feature(data) for data in images]))
    assert (table.cached, table.extracted, table.failed) == (0, len(images), ())
    assert (table.backbone, table.fingerprint) == (
        "default",
        view_fingerprints(house.extract.identity, PLAIN)[0],
    )
    assert FeatureTable.read(house.folder / "one") == table
    assert any(isinstance(each, Progress) and each.done == each.total == len(images) for each in house.said)
    house.extract.computed.clear()
    more = house.examples([*images, b"new"])
    table = await house.collect("two", more)
    assert house.extract.computed == [b"new"]
    assert (table.cached, table.extracted) == (len(images), 1)
    np.testing.assert_array_equal(load_features(house.folder / "two")[:-1], rows)
    assert house.metrics() == {"features_cached": len(images), "features_extracted": 1, "images_failed": 0}


async def test_views_are_kept_one_by_one_and_the_plain_one_is_shared(house: House) -> None:
    examples = house.examples(pictures(5))
    await house.collect("one", examples, augment=FLIP, name="flipped")
    assert load_features(house.folder / "one", "flipped").shape == (5, 2, DIM)
    house.extract.computed.clear()
    assert (await house.collect("one", examples)).cached == 5
    assert house.extract.computed == []
    np.testing.assert_array_equal(
        load_features(house.folder / "one")[:, 0], load_features(house.folder / "one", "flipped")[:, 0]
    )


async def test_other_weights_share_nothing(house: House) -> None:
    examples = house.examples(pictures(5))
    first = await house.collect("one", examples)
    house.extract = KnownFeatures("other")
    second = await house.collect("two", examples)
    assert second.cached == 0
    assert second.fingerprint != first.fingerprint


async def test_a_completed_run_is_used_again_unless_the_backbone_is_another(house: House) -> None:
    examples = house.examples(pictures(5))
    first = await house.collect("one", examples)
    house.cache = FeatureCache(house.folder / "none.db", 0)
    house.extract.computed.clear()
    assert await house.collect("one", examples) == first
    assert house.extract.computed == []
    house.extract = KnownFeatures("other")
    assert (await house.collect("one", examples)).extracted == 5
    assert len(house.extract.computed) == 5


async def test_a_bad_image_is_left_out_and_named(house: House) -> None:
    images = pictures(40)
    images[2], images[35] = b"!bad", b"gone"
    examples = house.examples(images)
    for job in ("one", "two"):
        image_file(house.folder / job, examples[35].sha256).unlink()
        image_file(house.folder / job, examples[7].sha256).write_bytes(
            images[8]
        )  # a picture, but not its own
    table = await house.collect("one", examples)
    assert [(failed.position, failed.sha256) for failed in table.failed] == [
        (position, examples[position].sha256) for position in (2, 7, 35)
    ]
    assert (table.extracted, table.count) == (37, 40)
    rows = load_features(house.folder / "one")
    assert not rows[[2, 7, 35]].any()
    np.testing.assert_array_equal(rows[36], feature(images[36]))
    warned = [each.text for each in house.said if isinstance(each, LogLine) and each.level == "warning"]
    assert warned[0] == f"left out {examples[2].sha256}: it is damaged [IMAGE_CORRUPT]"
    assert house.metrics()["images_failed"] == 3
    house.extract.computed.clear()
    assert len((await house.collect("two", examples)).failed) == 3  # what failed is not kept
    assert len(house.extract.computed) == 3


async def test_no_image_left_is_an_error_and_nothing_is_complete(house: House) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await house.collect("one", house.examples([b"!a", b"!b"]))
    assert caught.value.reason == "NO_EXAMPLES"
    with pytest.raises(FileNotFoundError):
        FeatureTable.read(house.folder / "one")


async def test_a_cache_that_cannot_write_fails_nothing(house: House, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    house.cache = FeatureCache(tmp_path / "file" / "features.db", 1 << 20)
    table = await house.collect("one", house.examples(pictures(40)))
    assert (table.cached, table.extracted) == (0, 40)
    assert house.cache.statistics().failed_writes > 0


async def test_a_full_disk_under_the_features_is_an_error(house: House) -> None:
    examples = house.examples(pictures(3))
    (house.folder / "one" / "features.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        await house.collect("one", examples)
