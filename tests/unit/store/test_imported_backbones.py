from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from penult_server.core.archives import FileFacts
from penult_server.core.backbones import ImportRecord
from penult_server.core.errors import AlreadyExists, DataLoss, ResourceExhausted
from penult_server.store.imported_backbones import ImportedBackboneStore


def record(name: str, data: bytes) -> ImportRecord:
    return ImportRecord(name, "resnet18", "mit", hashlib.sha256(data).hexdigest(), len(data), "r1")


def test_an_upload_is_invisible_until_commit_and_whole_afterwards(tmp_path: Path) -> None:
    store = ImportedBackboneStore(tmp_path)
    upload = store.begin(6)
    upload.write(b"abc")
    upload.write(b"def")
    assert upload.facts() == FileFacts(6, hashlib.sha256(b"abcdef").hexdigest())
    assert store.find("mine") is None
    upload.commit(record("mine", b"abcdef"))
    upload.discard()
    assert store.find("mine") == record("mine", b"abcdef")
    assert [p.read_bytes() for p in (tmp_path / "mine").glob("weights.*")] == [b"abcdef"]


def test_the_second_commit_of_a_name_changes_nothing(tmp_path: Path) -> None:
    store = ImportedBackboneStore(tmp_path)
    for data in (b"first", b"second"):
        upload = store.begin(len(data))
        upload.write(data)
        upload.facts()
        if data == b"first":
            upload.commit(record("mine", data))
        else:
            with pytest.raises(AlreadyExists):
                upload.commit(record("mine", data))
        upload.discard()
    assert store.find("mine") == record("mine", b"first")


def test_what_a_crash_left_behind_is_cleared_at_start(tmp_path: Path) -> None:
    store = ImportedBackboneStore(tmp_path)
    store.begin(3).write(b"abc")
    assert any((tmp_path / ".incoming").iterdir())
    ImportedBackboneStore(tmp_path)
    assert not any((tmp_path / ".incoming").iterdir())


def test_more_than_the_disk_holds_is_refused_before_a_byte_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ResourceExhausted) as caught:
        ImportedBackboneStore(tmp_path).begin(1 << 60)
    assert caught.value.reason == "DISK_FULL"


def test_a_disk_that_fills_up_under_way_is_not_taken_for_a_name_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ImportedBackboneStore(tmp_path)
    upload = store.begin(3)
    upload.write(b"abc")
    upload.facts()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr("penult_server.store.imported_backbones.rename_durably", fail)
    with pytest.raises(ResourceExhausted) as caught:
        upload.commit(record("mine", b"abc"))
    assert caught.value.reason == "DISK_FULL"
    upload.discard()
    assert not any((tmp_path / ".incoming").iterdir())


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    store = ImportedBackboneStore(tmp_path)
    (tmp_path / "mine").mkdir()
    for text in ("{", json.dumps({"name": "mine"}), "[]"):
        (tmp_path / "mine" / "backbone.json").write_text(text)
        with pytest.raises(DataLoss):
            store.find("mine")


@pytest.mark.parametrize("length", [3, 0x80])
def test_the_kind_of_file_is_told_by_its_content(tmp_path: Path, length: int) -> None:
    tensors = {"w" * length: torch.zeros(2)}  # some header lengths begin with the byte of a pickle
    save_file(tensors, tmp_path / "a.bin")
    torch.save(tensors, tmp_path / "b.bin")
    torch.save(tensors, tmp_path / "c.bin", _use_new_zipfile_serialization=False)
    store = ImportedBackboneStore(tmp_path / "store")
    suffixes = []
    for name in ("a.bin", "b.bin", "c.bin"):
        upload = store.begin(10)
        upload.write((tmp_path / name).read_bytes())
        upload.facts()
        suffixes.append(upload.path.suffix)
        upload.discard()
    assert suffixes == [".safetensors", ".pth", ".pth"]
