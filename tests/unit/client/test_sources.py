from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penult
from penult.sources import count_hint, image_files, single_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "sub/c.webp", "notes.txt", "sub/deep/d.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_folder_stands_for_its_images_sorted(folder: Path) -> None:
    found = [str(Path(file).relative_to(folder)) for file in image_files(folder)]
    assert found == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tif"]


def test_glob_takes_any_suffix_and_no_folder(folder: Path) -> None:
    assert image_files(f"{folder}/*") == [f"{folder}/a.png", f"{folder}/b.JPG", f"{folder}/notes.txt"]
    assert image_files(f"{folder}/**/*.webp") == [f"{folder}/sub/c.webp"]


def test_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "what?.jpg").write_bytes(b"x")
    (tmp_path / "whats.jpg").write_bytes(b"x")
    assert image_files(tmp_path / "what?.jpg") == [str(tmp_path / "what?.jpg")]


@pytest.mark.parametrize("pattern", ["*.jpg", ""])
def test_nothing_found_is_an_error_and_not_zero_images(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(penult.InvalidArgument) as caught:
        image_files(tmp_path / pattern)
    assert caught.value.reason == "NO_IMAGES"


def test_everything_that_is_an_image_alone_or_among_others(folder: Path) -> None:
    picture, pixels = Image.new("RGB", (2, 2)), np.zeros((2, 2, 3), np.uint8)
    for single in (b"bytes", bytearray(b"x"), memoryview(b"x"), picture, pixels):
        assert list(single_images(single)) == [single] if single is not pixels else True
    mixed = list(single_images([b"bytes", folder / "a.png", picture, pixels, f"{folder}/sub"]))
    assert mixed[0] == b"bytes"
    assert mixed[1] == str(folder / "a.png")
    assert mixed[2] is picture
    assert mixed[3] is pixels
    assert mixed[4:] == [f"{folder}/sub/c.webp", f"{folder}/sub/deep/d.tif"]


def test_array_of_four_dimensions_is_a_batch_and_of_strings_a_list_of_paths() -> None:
    assert len(list(single_images(np.zeros((5, 4, 4, 3), np.uint8)))) == 5
    assert len(list(single_images(np.zeros((5, 4, 3), np.uint8)))) == 1
    assert list(single_images(np.array([["a.jpg"], ["b.jpg"]]))) == ["a.jpg", "b.jpg"]


def test_generator_is_read_only_as_far_as_needed() -> None:
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield b"x"

    images = single_images(endless())
    for _ in range(3):
        next(images)
    assert len(taken) == 3


@pytest.mark.parametrize("wrong", [3, None, [3], [[b"x"]], {"a": b"x"}.items()])
def test_what_is_no_image_is_named(wrong: object) -> None:
    with pytest.raises(penult.InvalidArgument) as caught:
        list(single_images(wrong))  # type: ignore[arg-type]
    assert caught.value.reason == "NOT_AN_IMAGE"


def test_count_is_known_without_reading() -> None:
    assert count_hint([b"a", b"b"]) == 2
    assert count_hint(b"four") == 1
    assert count_hint(np.zeros((5, 4, 4, 3))) == 5
    assert count_hint(iter([b"a"])) is None
    assert count_hint("folder") is None
