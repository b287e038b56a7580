from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.features import (
    BackboneIdentity,
    FeatureOptions,
    OutputSpec,
    fingerprint,
    finish_features,
)
from penult_server.core.preprocess import Preprocess, TestTimeAugmentation

PREPROCESS = Preprocess((224, 224), (256, 256), "center", "bicubic", (0.5,) * 3, (0.5,) * 3)
IDENTITY = BackboneIdentity("tf_efficientnet_lite0", "ab" * 32, PREPROCESS)
OPTIONS = FeatureOptions()


@pytest.mark.parametrize(
    ("identity", "options"),
    [
        (dataclasses.replace(IDENTITY, weights_sha256="cd" * 32), OPTIONS),
        (dataclasses.replace(IDENTITY, architecture="resnet50"), OPTIONS),
        (dataclasses.replace(IDENTITY, numerics="torch-cuda-float16"), OPTIONS),
        (
            dataclasses.replace(
                IDENTITY, preprocess=dataclasses.replace(PREPROCESS, interpolation="bilinear")
            ),
            OPTIONS,
        ),
        (IDENTITY, FeatureOptions(output=OutputSpec(layer="blocks.3"))),
        (IDENTITY, FeatureOptions(output=OutputSpec(pooling="max"))),
        (IDENTITY, FeatureOptions(tta=TestTimeAugmentation(flip=True))),
        (IDENTITY, FeatureOptions(l2_normalize=True)),
        (IDENTITY, FeatureOptions(dtype="float16")),
    ],
)
def test_everything_that_moves_a_feature_changes_the_fingerprint(
    identity: BackboneIdentity, options: FeatureOptions
) -> None:
    assert fingerprint(identity, options) != fingerprint(IDENTITY, OPTIONS)


def test_the_name_of_the_backbone_does_not_change_the_fingerprint() -> None:
    assert fingerprint(IDENTITY, FeatureOptions(backbone="my-copy")) == fingerprint(IDENTITY, OPTIONS)


def test_the_fingerprint_never_changes_between_versions() -> None:
    # Indexes and heads carry it: a change here orphans them all, so it needs a new "version" and a migration.
    assert fingerprint(IDENTITY, OPTIONS) == (
        "2cbee0cd5b69faf77f579a3d1253d0f2852be85018961493ce3c30d8e6a03641"
    )


@given(st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_views_are_averaged_then_normalised(images: int, views: int, l2: bool) -> None:
    raw = np.random.default_rng(images * 10 + views).normal(size=(images * views, 6)).astype(np.float32)
    options = FeatureOptions(l2_normalize=l2)
    features = finish_features(raw, views, options)
    expected = np.stack([raw[i * views : (i + 1) * views].mean(axis=0) for i in range(images)])
    if l2:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous


def test_failed_rows_stay_nan_and_zero_rows_stay_zero() -> None:
    raw = np.array([[np.nan] * 3, [0.0] * 3, [3.0, 0.0, 4.0]], np.float32)
    features = finish_features(raw, 1, FeatureOptions(l2_normalize=True, dtype="float16"))
    assert features.dtype == np.float16
    assert np.isnan(features[0]).all()
    np.testing.assert_allclose(features[1:], np.array([[0, 0, 0], [0.6, 0, 0.8]]), atol=1e-3)
