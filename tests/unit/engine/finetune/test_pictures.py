from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from penult_server.core.images import EncodedImage, ImageError, ImageLimits
from penult_server.core.preprocess import PLAIN, Preprocess
from penult_server.engine.finetune.pictures import Pictures
from penult_server.engine.images.preprocessor import ImagePreprocessor

PREPROCESS = Preprocess((64, 64), (73, 73), "center", "bicubic", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def files(tmp_path: Path, sample_jpegs: list[bytes]) -> list[Path]:
    made = []
    for number, data in enumerate([*sample_jpegs[:4], b"no image"]):
        file = tmp_path / f"{number}.jpg"
        file.write_bytes(data)
        made.append(file)
    wide = tmp_path / "wide.png"
    Image.new("RGB", (900, 60), (200, 10, 10)).save(wide)
    return [*made, wide, tmp_path / "missing.jpg"]


def examined(files: list[Path], directory: Path, budget: int) -> tuple[Pictures, list[Any]]:
    pictures = Pictures(files, PREPROCESS, ImageLimits())
    return pictures, pictures.examine(directory, budget, lambda done: None)


@pytest.mark.parametrize("budget", [1 << 30, 0], ids=["cached", "decoded each time"])
def test_pictures_are_those_that_are_served(tmp_path: Path, files: list[Path], budget: int) -> None:
    pictures, looks = examined(files, tmp_path, budget)
    assert pictures.cached is bool(budget)
    serve = ImagePreprocessor(ImageLimits())
    for n in (0, 1, 2, 3, 5):
        assert not looks[n].reason
        served = serve(EncodedImage(files[n].read_bytes()), PREPROCESS, PLAIN)[0]
        assert np.array_equal(pictures.served(n), served)
    assert [look.reason for look in looks[4:]] == ["IMAGE_UNRECOGNISED", "", "IMAGE_CORRUPT"]


def test_cached_or_not_the_whole_pictures_are_the_same(tmp_path: Path, files: list[Path]) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    kept, _ = examined(files, tmp_path / "a", 1 << 30)
    fresh, _ = examined(files, tmp_path / "b", 0)
    for n in (0, 1, 2, 3, 5):
        assert np.array_equal(np.asarray(kept.training(n)), np.asarray(fresh.training(n)))
    assert min(kept.training(0).size) == 73
    assert kept.training(5).size == (219, 15)  # long pictures are bounded by their long side
    with pytest.raises(ImageError):
        fresh.served(4)


def test_what_does_not_fit_is_not_kept(tmp_path: Path, files: list[Path]) -> None:
    pictures, looks = examined(files, tmp_path, 10_000)
    assert not pictures.cached
    assert len(looks) == len(files)
    assert sum(file.stat().st_size for file in (tmp_path / "pictures").iterdir()) < 10_000


def test_a_second_look_decodes_nothing(tmp_path: Path, files: list[Path]) -> None:
    first, looks = examined(files, tmp_path, 1 << 30)
    before = first.served(0).copy()
    for file in files:
        file.unlink(missing_ok=True)
    again, same = examined(files, tmp_path, 1 << 30)
    assert same == looks
    assert np.array_equal(again.served(0), before)


def test_a_half_made_cache_is_made_again(tmp_path: Path, files: list[Path]) -> None:
    examined(files, tmp_path, 1 << 30)
    (tmp_path / "pictures" / "looks.json").unlink()
    (tmp_path / "pictures" / "served").write_bytes(b"x")
    pictures, _ = examined(files, tmp_path, 1 << 30)
    assert pictures.cached
    assert pictures.served(1).any()


def test_a_full_disk_means_no_cache(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    pictures, looks = examined(files, tmp_path, 1 << 30)
    assert not pictures.cached
    assert len(looks) == len(files)
