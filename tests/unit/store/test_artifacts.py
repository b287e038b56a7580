from __future__ import annotations

import errno
import shutil
from pathlib import Path
from unittest import mock

import pytest

from penult_server.core.errors import DataLoss, ResourceExhausted
from penult_server.store.artifacts import ArtifactStore


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "deeper").mkdir(parents=True)
    (folder / "head.json").write_text("{}")
    (folder / "deeper" / "head.safetensors").write_bytes(bytes(range(256)) * 50)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "models")


def names(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "models").iterdir()} - {".incoming"}


def test_files_come_back_whole(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    assert store.add("a", source) == 2 + 256 * 50
    shutil.rmtree(source)
    path = store.open("a")
    assert (path / "deeper" / "head.safetensors").read_bytes() == bytes(range(256)) * 50
    store.link("a", tmp_path / "linked")
    store.remove("a")
    assert (tmp_path / "linked" / "head.json").read_text() == "{}"
    assert names(tmp_path) == set()


@pytest.mark.parametrize("damage", ["flip", "cut", "missing file", "missing manifest", "manifest", "all"])
def test_damage_is_found(store: ArtifactStore, source: Path, tmp_path: Path, damage: str) -> None:
    store.add("a", source)
    path = tmp_path / "models" / "a"
    file = path / "deeper" / "head.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[999] ^= 4
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "missing file":
        file.unlink()
    elif damage == "missing manifest":
        (path / "manifest.json").unlink()
    elif damage == "manifest":
        (path / "manifest.json").write_text("[1, 2]")
    else:
        shutil.rmtree(path)
    for use in (lambda: store.open("a"), lambda: store.link("a", tmp_path / "linked")):
        with pytest.raises(DataLoss) as caught:
            use()
        assert caught.value.reason == "MODEL_DAMAGED"
        assert str(tmp_path) not in caught.value.message
    assert not (tmp_path / "linked").exists()


def test_a_full_disk_leaves_nothing(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with mock.patch("shutil.copyfile", full), pytest.raises(ResourceExhausted) as caught:
        store.add("a", source)
    assert caught.value.reason == "DISK_FULL"
    assert names(tmp_path) == set()
    assert list((tmp_path / "models" / ".incoming").iterdir()) == []
    store.add("a", source)
    assert names(tmp_path) == {"a"}


def test_a_crash_leaves_nothing_that_is_not_wanted(
    store: ArtifactStore, source: Path, tmp_path: Path
) -> None:
    store.add("wanted", source)
    store.add("published by half", source)
    (tmp_path / "models" / ".incoming" / "half").mkdir()
    store = ArtifactStore(tmp_path / "models")
    store.sweep({"wanted"})
    assert names(tmp_path) == {"wanted"}
    assert list((tmp_path / "models" / ".incoming").iterdir()) == []
    (source / "head.json").write_text("[]")
    store.add("wanted", source)  # once more after a crash between the files and the row
    assert (store.open("wanted") / "head.json").read_text() == "[]"
