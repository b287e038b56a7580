from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from penult_server.core.images import ImageLimits
from penult_server.engine.analysis.picture import difference_hash, examine

LIMITS = ImageLimits()


def saved(path: Path, picture: Image.Image, quality: int = 90) -> Path:
    picture.save(path, quality=quality)
    return path


@pytest.fixture
def photo(sample_jpegs: list[bytes]) -> Image.Image:
    return Image.open(io.BytesIO(sample_jpegs[0])).convert("RGB")


def test_same_pixels_in_another_file_have_the_same_hashes(tmp_path: Path, photo: Image.Image) -> None:
    one, other = saved(tmp_path / "a.png", photo), saved(tmp_path / "b.bmp", photo)
    assert examine(one, LIMITS) == examine(other, LIMITS)
    assert examine(one, LIMITS).pixels
    assert (examine(one, LIMITS).width, examine(one, LIMITS).height) == photo.size


@pytest.mark.parametrize("change", ["smaller", "compressed"])
def test_the_same_look_survives_what_people_do_to_pictures(
    tmp_path: Path, photo: Image.Image, change: str
) -> None:
    original = examine(saved(tmp_path / "a.png", photo), LIMITS)
    changed = photo.resize((photo.width // 2, photo.height // 2)) if change == "smaller" else photo
    other = examine(saved(tmp_path / "b.jpg", changed, quality=50), LIMITS)
    assert other.pixels != original.pixels
    assert other.look is not None
    assert original.look is not None
    assert (other.look ^ original.look).bit_count() <= 3


def test_different_pictures_look_different(sample_jpegs: list[bytes]) -> None:
    looks = [difference_hash(Image.open(io.BytesIO(data))) for data in sample_jpegs]
    distances = [(a ^ b).bit_count() for n, a in enumerate(looks) for b in looks[:n]]  # type: ignore[operator]
    assert min(distances) > 3


def test_one_colour_has_no_look(tmp_path: Path) -> None:
    picture = examine(saved(tmp_path / "a.png", Image.new("RGB", (50, 50), (9, 9, 9))), LIMITS)
    assert picture.look is None
    assert picture.pixels


@pytest.mark.parametrize(
    ("data", "reason"), [(b"no picture", "IMAGE_UNRECOGNISED"), (b"", "IMAGE_EMPTY"), (None, "IMAGE_CORRUPT")]
)
def test_what_cannot_be_used_says_why(tmp_path: Path, data: bytes | None, reason: str) -> None:
    if data is not None:
        (tmp_path / "x").write_bytes(data)
    picture = examine(tmp_path / "x", LIMITS)
    assert picture.reason == reason
    assert picture.message
    assert picture.pixels == ""
