from __future__ import annotations

import dataclasses
import hashlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from penult_server.core.datasets import (
    Candidate,
    CheckedImage,
    ExampleFilter,
    NewExample,
    Split,
    UploadMessage,
)
from penult_server.core.errors import DataLoss, FailedPrecondition, NotFound
from penult_server.core.images import EncodedImage
from penult_server.store.backup import MANIFEST, backup, restore
from penult_server.store.blobs import Blobs
from penult_server.store.database import FILE
from penult_server.store.datasets import DatasetStore
from penult_server.store.home import MARK, at_home
from tests.databases import Cluster

EVERYTHING = ExampleFilter()


@dataclasses.dataclass
class Running:
    """What a server has open."""

    data_dir: Path
    url: str | None = None

    def __post_init__(self) -> None:
        self._home = at_home(self.data_dir, self.url)
        self.database = self._home.__enter__()
        self.blobs = Blobs(self.data_dir / "blobs")
        self.store = DatasetStore(self.database, self.blobs)

    def add(self, name: str, *contents: bytes) -> None:
        items = [
            Candidate(
                index,
                CheckedImage(data, hashlib.sha256(data).hexdigest(), 4, 3),
                NewExample(EncodedImage(b"", ""), (), Split.TRAIN, ""),
            )
            for index, data in enumerate(contents)
        ]
        self.store.add(self.store.get(name), "", [UploadMessage(0, len(items), items, [])])

    def contents(self, name: str) -> set[bytes]:
        rows = self.store.examples(name, EVERYTHING, 0, 100_000)[1]
        return {self.blobs.read(example.sha256) for _, example in rows}

    def close(self) -> None:
        self.blobs.close()
        self._home.__exit__(None, None, None)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    server = Running(tmp_path / "data")
    server.store.create("a", False, "")
    server.add("a", b"one", b"two")
    for left_out in ("cache", "hub"):
        (tmp_path / "data" / left_out).mkdir()
        (tmp_path / "data" / left_out / "file").write_text("can be made again")
    (tmp_path / "data" / "backbones").mkdir()
    (tmp_path / "data" / "backbones" / "mine.safetensors").write_bytes(b"weights")
    yield server
    server.close()


def test_a_restored_backup_is_what_was_there(running: Running, tmp_path: Path) -> None:
    made = backup(running.data_dir, tmp_path / "saved" / "monday", "1.0")
    running.add("a", b"three")
    assert restore(tmp_path / "saved" / "monday", tmp_path / "again") == made
    assert (tmp_path / "again" / "backbones" / "mine.safetensors").read_bytes() == b"weights"
    assert not (tmp_path / "again" / "cache").exists()
    again = Running(tmp_path / "again")
    assert again.contents("a") == {b"one", b"two"}
    again.add("a", b"four")
    again.close()
    assert running.contents("a") == {b"one", b"two", b"three"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_backups_under_load_are_whole(running: Running, tmp_path: Path) -> None:
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            running.store.create(f"d{number}", False, "")
            running.add(f"d{number}", *(f"{number} {n}".encode() for n in range(20)))
            if number > 2:
                running.store.delete(f"d{number - 2}", "")
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for number in range(4):
            backup(running.data_dir, tmp_path / f"b{number}", "1.0")
    finally:
        stop.set()
        thread.join()
    for number in range(4):
        restore(tmp_path / f"b{number}", tmp_path / f"r{number}")
        restored = Running(tmp_path / f"r{number}")
        for dataset in restored.store.list("", 1000):
            assert len(restored.contents(dataset.name)) in (0, 2, 20)
        restored.close()


@pytest.mark.parametrize("victim", [FILE, "backbones/mine.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(
    running: Running, tmp_path: Path, victim: str, damage: str
) -> None:
    backup(running.data_dir, tmp_path / "b", "1.0")
    file = tmp_path / "b" / victim
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink() if damage == "remove" else file.write_bytes(data)
    with pytest.raises(DataLoss) as caught:
        restore(tmp_path / "b", tmp_path / "again")
    assert caught.value.reason == "BACKUP_DAMAGED"
    assert not (tmp_path / "again").exists()


def test_nothing_is_overwritten(running: Running, tmp_path: Path) -> None:
    backup(running.data_dir, tmp_path / "b", "1.0")
    for refused in (
        lambda: backup(running.data_dir, tmp_path / "b", "1.0"),
        lambda: restore(tmp_path / "b", running.data_dir),
    ):
        with pytest.raises(FailedPrecondition):
            refused()
    with pytest.raises(NotFound):
        backup(tmp_path / "nowhere", tmp_path / "c", "1.0")
    shutil.copytree(tmp_path / "b", tmp_path / "half")
    (tmp_path / "half" / MANIFEST).unlink()
    with pytest.raises(NotFound):
        restore(tmp_path / "half", tmp_path / "again")
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "b", tmp_path / "empty")


@pytest.mark.parametrize("kinds", [(True, True), (True, False), (False, True)])
def test_a_backup_goes_from_any_kind_of_database_to_any(
    postgresql: Cluster, tmp_path: Path, kinds: tuple[bool, bool]
) -> None:
    here, there = (postgresql.new() if kind else None for kind in kinds)
    running = Running(tmp_path / "data", here)
    running.store.create("gone", False, "")
    running.store.delete("gone", "")
    running.store.create("a", True, "r")
    running.add("a", *(f"picture {number}".encode() for number in range(600)))
    last = running.store.create("last", False, "")
    running.store.delete("last", "")
    made = backup(running.data_dir, tmp_path / "b", "1.0", here)
    assert MARK not in made["files"]
    running.add("a", b"later")
    running.close()
    restore(tmp_path / "b", tmp_path / "again", there)
    assert (tmp_path / "again" / FILE).exists() == (there is None)
    again = Running(tmp_path / "again", there)
    assert len(again.contents("a")) == 600
    assert again.store.create("a", True, "r").multi_label, "what was acknowledged is remembered"
    assert again.store.create("new", False, "").id > last.id, "numbers are not given again"
    again.add("a", b"one more")
    again.close()


def test_a_database_that_has_a_server_is_not_restored_over(postgresql: Cluster, tmp_path: Path) -> None:
    url = postgresql.new()
    running = Running(tmp_path / "data", url)
    running.store.create("a", False, "")
    backup(running.data_dir, tmp_path / "b", "1.0", url)
    with pytest.raises(FailedPrecondition) as caught:
        restore(tmp_path / "b", tmp_path / "again", url)
    assert caught.value.reason == "DATABASE_IN_USE"
    running.close()
    with pytest.raises(FailedPrecondition) as caught:
        restore(tmp_path / "b", tmp_path / "again", url)
    assert caught.value.reason == "TARGET_EXISTS"
    assert not (tmp_path / "again").exists()
    with pytest.raises(FailedPrecondition) as caught:
        backup(running.data_dir, tmp_path / "c", "1.0", postgresql.new())
    assert caught.value.reason in ("DATABASE_OTHER_VERSION", "DATABASE_OF_ANOTHER")


def test_a_restore_that_was_killed_is_done_again(postgresql: Cluster, tmp_path: Path) -> None:
    running, url = Running(tmp_path / "data"), postgresql.new()
    running.store.create("a", False, "")
    running.add("a", b"one")
    running.close()
    backup(running.data_dir, tmp_path / "b", "1.0")
    killed = mock.patch("penult_server.store.backup.rename_durably", side_effect=KeyboardInterrupt)
    with killed, pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "b", tmp_path / "again", url)
    restore(tmp_path / "b", tmp_path / "again", url)
    again = Running(tmp_path / "again", url)
    assert again.contents("a") == {b"one"}
    again.close()
