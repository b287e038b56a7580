"""The Python client against a real server with real weights and real photographs."""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import penult
from penult.sklearn import FeatureExtractor


def assert_close(actual: Any, expected: Any) -> None:
    """The same features up to what float32 and batching change."""
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path, sample_jpegs: list[bytes]) -> Path:
    for number, data in enumerate(sample_jpegs):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    return tmp_path


def test_one_photo_in_every_form_has_one_feature(
    client: penult.Client, sample_jpegs: list[bytes], folder: Path
) -> None:
    data = sample_jpegs[0]
    expected = client.extract(data)
    assert expected.shape == (1, 1280)
    assert expected.dtype == np.float32
    assert np.isfinite(expected).all()
    path = folder / "0.jpg"
    for form in (path, str(path), [data], iter([path]), bytearray(data)):
        assert_close(client.extract(form), expected)
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
        similar = np.concatenate([client.extract(form) for form in (picture, pixels, pixels / 255)])
    cosine = similar @ expected[0] / np.linalg.norm(similar, axis=1) / np.linalg.norm(expected)
    assert (cosine[:2] > 0.9999).all()
    assert cosine[2] > 0.999  # floats are resized without rounding to bytes in between


def test_folder_pattern_and_list_give_the_same_rows(client: penult.Client, folder: Path) -> None:
    expected = client.extract(sorted(folder.glob("*.jpg")))
    for images in (folder, f"{folder}/*.jpg"):
        assert_close(client.extract(images), expected)


def test_stream_gives_what_single_calls_give(client: penult.Client, sample_jpegs: list[bytes]) -> None:
    expected = np.concatenate([client.extract(data) for data in sample_jpegs])
    streamed = client.extract(data for _ in range(5) for data in sample_jpegs)
    assert_close(streamed, np.tile(expected, (5, 1)))
    iterated = [batch.features for batch in client.extract_iter(sample_jpegs * 5)]
    assert_close(np.concatenate(iterated), streamed)


def test_options_change_the_feature_and_its_fingerprint(
    client: penult.Client, sample_jpegs: list[bytes]
) -> None:
    plain = client.extract_with_info(sample_jpegs[:2])
    unit = client.extract_with_info(sample_jpegs[:2], l2=True)
    np.testing.assert_allclose(np.linalg.norm(unit.features, axis=1), 1, rtol=1e-5)
    half = client.extract_with_info(sample_jpegs[:2], dtype="float16")
    assert half.features.dtype == np.float16
    np.testing.assert_allclose(half.features, plain.features, rtol=1e-2, atol=1e-2)
    flipped = client.extract_with_info(sample_jpegs[:2], tta="flip")
    assert not np.allclose(flipped.features, plain.features, atol=1e-3)
    square = np.asarray(Image.open(io.BytesIO(sample_jpegs[3])))  # so that its mirror image is cropped alike
    both = (client.extract(square) + client.extract(square[:, ::-1])) / 2
    assert np.corrcoef(both[0], client.extract(square, tta="flip")[0])[0, 1] > 0.9999
    assert "blocks.3" in client.backbones.get().layers
    inner = client.extract_with_info(sample_jpegs[:2], layer="blocks.3", pooling="avg_max")
    assert inner.features.shape == (2, 2 * client.extract(sample_jpegs[0], layer="blocks.3").shape[1])
    fingerprints = {b.fingerprint for b in (plain, unit, half, flipped, inner)}
    assert len(fingerprints) == 5
    assert plain.fingerprint == client.backbones.get().fingerprint


def test_bad_images_hurt_nobody_else(client: penult.Client, folder: Path) -> None:
    good = client.extract(folder / "0.jpg")
    images: list[Any] = [folder / "0.jpg", b"no picture", folder / "missing.jpg", b"", folder / "0.jpg"]
    for repeat in (1, 10):
        features, errors = client.extract(images * repeat, on_error="return")
        assert [error.reason for error in errors] == [
            "IMAGE_UNRECOGNISED", "FILE_UNREADABLE", "IMAGE_EMPTY",
        ] * repeat  # fmt: skip
        assert np.isnan(features[1::5]).all()
        assert_close(features[::5], np.tile(good, (repeat, 1)))
    with pytest.raises(penult.ItemFailed) as caught:
        client.extract(images)
    assert len(caught.value.errors) == 3


def test_only_bad_images_still_have_a_width(client: penult.Client) -> None:
    features, errors = client.extract(["missing.jpg"] * 20, on_error="return")
    assert features.shape == (20, 1280)
    assert len(errors) == 20


def test_backbones(client: penult.Client) -> None:
    names = [backbone.name for backbone in client.backbones.list(sources=["bundled"])]
    assert {"tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"} <= set(names)
    default = client.backbones.get()
    assert (default.name, default.dim, default.state) == ("tf_efficientnet_lite0", 1280, "ready")
    assert default.preprocess is not None
    assert default.preprocess.input_size == (224, 224)
    assert len(default.fingerprint) == 64
    assert default.provider in ("torch", "openvino")
    assert [b.name for b in client.backbones.list("lite0", state="ready")] == ["tf_efficientnet_lite0"]


def test_another_backbone_loads_and_unloads(client: penult.Client, sample_jpegs: list[bytes]) -> None:
    assert client.backbones.load("tf_efficientnet_lite1").state == "ready"
    batch = client.extract_with_info(sample_jpegs[0], "tf_efficientnet_lite1")
    assert batch.backbone == "tf_efficientnet_lite1"
    assert client.backbones.unload("tf_efficientnet_lite1").state == "available"


def test_errors_tell_what_to_do(client: penult.Client, sample_jpegs: list[bytes]) -> None:
    for images in (sample_jpegs[0], sample_jpegs * 2):
        with pytest.raises(penult.NotFound) as caught:
            client.extract(images, "tf_efficientnet_lite00")
        assert "tf_efficientnet_lite0," in caught.value.message
        assert caught.value.reason
        assert caught.value.hint
        assert caught.value.request_id
    with pytest.raises(penult.InvalidArgument):
        client.extract(sample_jpegs[0], layer="no such layer")
    with pytest.raises(penult.InvalidArgument, match="scales"):
        client.extract(sample_jpegs[0], tta=penult.TestTimeAugmentation(scales=(9.0,)))


def test_health(client: penult.Client) -> None:
    assert client.health() == penult.Health(True, "SERVING")


def test_asyncio_gives_the_same(server: Any, client: penult.Client, sample_jpegs: list[bytes]) -> None:
    async def run() -> None:
        async with penult.AsyncClient(server.target) as other:
            few, many, health = await asyncio.gather(
                other.extract(sample_jpegs[:2]), other.extract(sample_jpegs * 4), other.health()
            )
            assert health
            assert (await other.backbones.get()).dim == 1280
            assert_close(few, client.extract(sample_jpegs[:2]))
            assert_close(many, client.extract(sample_jpegs * 4))

    asyncio.run(run())


def test_scikit_learn_pipeline(server: Any, client: penult.Client, sample_jpegs: list[bytes]) -> None:
    # The first four are cuts of one photograph, the last four of another.
    labels = np.repeat([0, 1], 4)
    images = np.array([*sample_jpegs, None], dtype=object)[:-1]
    for given in (server.target, client):
        pipeline = make_pipeline(FeatureExtractor(given, l2=True), LogisticRegression())
        assert cross_val_score(pipeline, images, labels, cv=2).mean() >= 0.75
        fitted = clone(pipeline).fit(images, labels)
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_allclose(again.predict_proba(images), fitted.predict_proba(images), atol=1e-4)
        assert fitted[0].get_feature_names_out()[[0, -1]].tolist() == ["feature0", "feature1279"]


def test_transformer_refuses_other_features_than_it_was_fitted_on(
    client: penult.Client, sample_jpegs: list[bytes]
) -> None:
    extractor = FeatureExtractor(client).fit(sample_jpegs)
    assert extractor.n_features_out_ == 1280
    assert extractor.transform(sample_jpegs[:1]).shape == (1, 1280)
    extractor.set_params(l2=True)
    with pytest.raises(penult.FailedPrecondition) as caught:
        extractor.transform(sample_jpegs)
    assert set(caught.value.metadata) == {"expected", "actual"}


def test_odd_files_end_in_a_feature_or_an_error_of_their_own(
    client: penult.Client, shared_data: Path
) -> None:
    files = [str(file) for file in sorted((shared_data / "odd").iterdir()) if file.is_file()]
    batch = client.extract_with_info(files, on_error="return")
    failed = {error.index for error in batch.errors}
    assert batch.names == tuple(files)
    assert [bool(np.isnan(row).any()) for row in batch.features] == [n in failed for n in range(len(files))]
    assert 0 < len(failed) < len(files)
