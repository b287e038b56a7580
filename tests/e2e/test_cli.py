"""The `penult` command as a user types it, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penult

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(server: Any, tmp_path: Path) -> Run:
    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penult.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PENULT_TARGET": server.target, **env},
        )

    return run


@pytest.fixture
def photos(tmp_path: Path, sample_jpegs: list[bytes]) -> Path:
    (tmp_path / "photos").mkdir()
    for number, data in enumerate(sample_jpegs):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(data)
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_extract_writes_what_the_sdk_gives(run: Run, photos: Path, server: Any, tmp_path: Path) -> None:
    done = run("extract", "photos", "--out", "x.npz", "--l2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "skipped photos/bad.jpg" in done.stderr
    with np.load(tmp_path / "x.npz") as file, penult.Client(server.target) as client:
        good = sorted(path for path in photos.iterdir() if path.name != "bad.jpg")
        expected = client.extract_with_info(good, l2=True)
        np.testing.assert_allclose(file["features"], expected.features, atol=1e-4)
        assert [tmp_path / path for path in file["paths"]] == good
        assert file["fingerprint"] == expected.fingerprint
        assert file["errors"]["reason"].tolist() == ["IMAGE_UNRECOGNISED"]
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "x.npz"}


def test_extract_for_programs(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("extract", "photos/*.jpg", "--out", "x.npy", "--on-error", "return", "--json")
    summary = json.loads(done.stdout)
    assert (summary["images"], summary["dim"], len(summary["errors"])) == (9, 1280, 1)
    assert np.load(tmp_path / "x.npy").shape == (9, 1280)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--on-error", "raise", "--out", "x.npz"), "bad.jpg"),
        (("--out", "x.csv"), "use .npz, .npy, .parquet"),
        (("--out", "missing/x.npz"), "name a file in a folder that exists"),
        (("--out", "x.npz", "--tta", "spin"), "five_crop"),
        (("--out", "x.npz", "--backbone", "tf_efficientnet_lite00"), "tf_efficientnet_lite0"),
        (("--out", "x.npz", "--target", "127.0.0.1:1"), "penult-server serve"),
    ],
)
def test_failure_is_told_with_a_hint_and_leaves_nothing(
    run: Run, photos: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = run("extract", "photos", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_nothing_usable_is_a_failure(run: Run, photos: Path) -> None:
    done = run("extract", "photos/bad.jpg", "--out", "x.npz")
    assert done.returncode == 1
    assert "IMAGE_UNRECOGNISED" in done.stderr


def test_backbones(run: Run) -> None:
    rows = [line.split("\t") for line in run("backbones").stdout.splitlines()]
    assert ["tf_efficientnet_lite0", "bundled", "ready", "1280"] in [row[:4] for row in rows]
    found = json.loads(run("backbones", "list", "lite1", "--source", "bundled", "--json").stdout)
    assert [backbone["name"] for backbone in found] == ["tf_efficientnet_lite1"]
    described = json.loads(run("backbones", "get", "tf_efficientnet_lite0", "--json").stdout)
    assert described["preprocess"]["input_size"] == [224, 224]
    assert "dim\t1280" in run("backbones", "get").stdout
    loaded = json.loads(run("backbones", "load", "tf_efficientnet_lite1", "--json").stdout)
    assert loaded["state"] == "ready"
    unloaded = json.loads(run("backbones", "unload", "tf_efficientnet_lite1", "--json").stdout)
    assert unloaded["state"] == "available"
    wrong = run("backbones", "list", "--source", "web")
    assert wrong.returncode == 1
    assert "bundled" in wrong.stderr


def test_health(run: Run) -> None:
    done = run("health")
    assert (done.returncode, done.stdout) == (0, "SERVING\n")
    assert json.loads(run("health", "--json").stdout) == {"serving": True, "status": "SERVING"}
    assert run("health", "--target", "127.0.0.1:1").returncode == 1


def test_version_and_usage(run: Run) -> None:
    assert run("version").stdout.strip() == penult.__version__
    assert run("extract").returncode == 2
