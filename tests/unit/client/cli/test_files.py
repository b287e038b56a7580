from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import penult
from penult.cli.files import check_destination, save


@pytest.fixture
def batch() -> penult.FeatureBatch:
    features = np.array([[1, 2], [np.nan, np.nan]], np.float32)
    error = penult.ItemError(1, "IMAGE_CORRUPT", "ends early", "b.jpg")
    return penult.FeatureBatch(features, ("a.jpg", "b.jpg"), "f" * 64, "lite", (error,))


def test_npz_holds_everything_without_pickle(tmp_path: Path, batch: penult.FeatureBatch) -> None:
    save(tmp_path / "x.npz", batch)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert np.array_equal(file["features"], batch.features, equal_nan=True)
        assert file["paths"].tolist() == ["a.jpg", "b.jpg"]
        assert (str(file["fingerprint"]), str(file["backbone"])) == ("f" * 64, "lite")
        assert file["errors"].tolist() == [(1, "b.jpg", "IMAGE_CORRUPT", "ends early")]
        assert file["errors"]["reason"].tolist() == ["IMAGE_CORRUPT"]


def test_npz_without_errors_has_none(tmp_path: Path, batch: penult.FeatureBatch) -> None:
    save(tmp_path / "x.npz", penult.FeatureBatch(batch.features, batch.names, "f", "lite"))
    with np.load(tmp_path / "x.npz") as file:
        assert file["errors"].shape == (0,)


def test_npy_holds_the_features_and_keeps_their_type(tmp_path: Path, batch: penult.FeatureBatch) -> None:
    half = penult.FeatureBatch(batch.features.astype(np.float16), batch.names, "f", "lite")
    save(tmp_path / "x.npy", half)
    assert np.load(tmp_path / "x.npy").dtype == np.float16


def test_parquet(tmp_path: Path, batch: penult.FeatureBatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is optional and not installed")
    save(tmp_path / "x.parquet", batch)
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table["path"].to_pylist() == ["a.jpg", "b.jpg"]
    assert table["features"].to_pylist()[0] == [1.0, 2.0]
    assert table["error"].to_pylist() == [None, "ends early [IMAGE_CORRUPT]"]
    assert table.schema.metadata[b"fingerprint"] == b"f" * 64


@pytest.mark.parametrize("name", ["x.csv", "x", "missing/x.npz", "folder.npz"])
def test_what_cannot_be_written_is_known_before(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(penult.InvalidArgument):
        check_destination(tmp_path / name)


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(penult.InvalidArgument) as caught:
        check_destination(tmp_path / "x.parquet")
    assert "pip install pyarrow" in caught.value.hint


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"old")
    not_numbers = penult.FeatureBatch(np.array([object()]), (), "", "")
    with pytest.raises(ValueError, match="Object arrays"):
        save(path, not_numbers)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
