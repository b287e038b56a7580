from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import penult
from penult.sklearn import FeatureExtractor


class Frame:
    """The part of a data frame that matters here; pandas is no dependency of the tests."""

    def __init__(self, columns: list[list[Any]]) -> None:
        self._values = np.array(columns, dtype=object).T
        self.shape, self.ndim = self._values.shape, 2
        self.iloc = self._values


def test_parameters_survive_clone_and_pickle() -> None:
    client = penult.Client("10.0.0.1:1")
    extractor = FeatureExtractor(client, backbone="resnet50", tta="flip", l2=True)
    copy = clone(extractor)
    assert copy.get_params() == extractor.get_params()
    assert copy.client is client
    again = pickle.loads(pickle.dumps(extractor))
    assert again.backbone == "resnet50"
    assert repr(again.client) == "Client('10.0.0.1:1')"


def test_live_connection_stays_out_of_the_pickle(known: Any) -> None:
    extractor = FeatureExtractor(known.target).fit([b"a"])
    again = pickle.loads(pickle.dumps(extractor))
    assert again.transform([b"abc"]).tolist() == [[3, 97]]


def test_fit_sends_one_image_and_fit_transform_each_once(known: Any) -> None:
    images = [b"a", b"bb", b"ccc"]
    extractor = FeatureExtractor(known.target)
    extractor.fit(images)
    assert known.servicer.calls == ["Extract"]
    assert extractor.fit_transform(images)[:, 0].tolist() == [1, 2, 3]
    assert known.servicer.calls == ["Extract"] * 2
    assert extractor.get_feature_names_out().tolist() == ["feature0", "feature1"]
    assert extractor.transform([]).shape == (0, 2)


def test_columns_are_images(known: Any) -> None:
    extractor = FeatureExtractor(known.target)
    for column in (
        np.array([[b"a"], [b"bb"]], dtype=object),
        Frame([[b"a", b"bb"]]),
        np.array([b"a", b"bb"]),
    ):
        assert extractor.fit_transform(column)[:, 0].tolist() == [1, 2]
    with pytest.raises(ValueError, match="one column"):
        extractor.fit_transform(Frame([[b"a"], [b"b"]]))


def test_bad_image_raises_or_becomes_nan(known: Any) -> None:
    with pytest.raises(penult.ItemFailed):
        FeatureExtractor(known.target).fit_transform([b"a", b"!"])
    features = FeatureExtractor(known.target, on_error="nan").fit_transform([b"a", b"!"])
    assert np.isnan(features).all(axis=1).tolist() == [False, True]
    with pytest.raises(ValueError, match="on_error"):
        FeatureExtractor(known.target, on_error="skip").fit([b"a"])  # type: ignore[arg-type]


def test_nothing_to_fit_on(known: Any) -> None:
    with pytest.raises(ValueError, match="no image"):
        FeatureExtractor(known.target).fit([])


def test_without_scikit_learn_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['sklearn'] = None; import penult.sklearn"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install scikit-learn" in done.stderr.splitlines()[-1]
