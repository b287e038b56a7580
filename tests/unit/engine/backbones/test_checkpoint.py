from __future__ import annotations

import argparse
import contextlib
import os
import pickle
from pathlib import Path
from typing import NoReturn

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument
from penult_server.engine.backbones.checkpoint import (
    check_sha256,
    read_metadata,
    read_tensors,
    without_prefix,
)

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "state_dict_ema", "model_ema", "net"])
@pytest.mark.parametrize("legacy", [False, True])
def test_trainers_wrap_weights_in_many_ways(tmp_path: Path, wrapper: str, legacy: bool) -> None:
    content = {wrapper: TENSORS, "epoch": 3, "args": argparse.Namespace(lr=0.1), "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=not legacy)
    read = read_tensors(tmp_path / "c.pth")
    assert read.keys() == TENSORS.keys()
    assert torch.equal(read["a.weight"], TENSORS["a.weight"])


def test_averaged_weights_come_before_plain_ones(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": {"a": torch.zeros(1)}, "state_dict_ema": {"a": torch.ones(1)}}, tmp_path / "c.pth"
    )
    assert read_tensors(tmp_path / "c.pth")["a"].item() == 1


def test_a_bare_state_dict_and_a_safetensors_file_without_a_suffix(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "one")
    safetensors.torch.save_file(TENSORS, tmp_path / "two", {"architecture": "resnet18"})
    for name in ("one", "two"):
        assert torch.equal(read_tensors(tmp_path / name)["a.weight"], TENSORS["a.weight"])
    assert read_metadata(tmp_path / "one") == {}
    assert read_metadata(tmp_path / "two")["architecture"] == "resnet18"


def test_prefixes_of_wrappers_go_only_where_every_tensor_has_them() -> None:
    wrapped = {f"_orig_mod.module.{name}": tensor for name, tensor in TENSORS.items()}
    assert without_prefix(wrapped).keys() == TENSORS.keys()
    mixed = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert without_prefix(mixed).keys() == mixed.keys()
    assert without_prefix({}) == {}


class Shell:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": TENSORS, "x": Shell()}, "bad.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InvalidArgument) as caught:
        read_tensors(Path("bad.pth"))
    assert caught.value.reason == "WEIGHTS_NOT_PLAIN"
    assert not Path("executed").exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(InvalidArgument, match="Python objects"):
        read_tensors(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"<html>404</html>",
        b"version https://git-lfs",
        b"PK\x03\x04broken",
        pickle.dumps([1, 2]),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_are_no_weights(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"c{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataLoss) as caught:
        read_tensors(path)
    assert caught.value.reason == "WEIGHTS_DAMAGED"
    assert path.name in caught.value.message
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_files_that_end_too_early(tmp_path: Path, share: float) -> None:
    torch.save({"a": torch.randn(5000)}, tmp_path / "a.pth")
    torch.save({"a": torch.randn(5000)}, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file({"a": torch.randn(5000)}, tmp_path / "c.safetensors")
    for path in list(tmp_path.iterdir()):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataLoss):
            read_tensors(path)


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    torch.save({"fine": torch.ones(2), "bad": torch.tensor([1.0, float("nan")])}, tmp_path / "c.pth")
    with pytest.raises(DataLoss, match="bad"):
        read_tensors(tmp_path / "c.pth")


def test_no_tensors_at_all(tmp_path: Path) -> None:
    torch.save({"epoch": 1}, tmp_path / "c.pth")
    with pytest.raises(DataLoss, match="no named tensors"):
        read_tensors(tmp_path / "c.pth")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"anything")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # permissions do not stop root, who may run this test
    with pytest.raises(FailedPrecondition) as caught:
        read_tensors(path)
    assert caught.value.reason == "WEIGHTS_UNREADABLE"
    assert str(tmp_path) not in caught.value.message


def test_a_checksum(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    check_sha256(tmp_path / "f", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    with pytest.raises(DataLoss, match="sha256"):
        check_sha256(tmp_path / "f", "0" * 64)


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1), value=st.integers(1, 255), kind=st.integers(0, 2))
def test_one_flipped_byte_gives_tensors_or_a_clean_refusal(
    tmp_path_factory: pytest.TempPathFactory, position: float, value: int, kind: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "c"
    if kind == 2:
        safetensors.torch.save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=kind == 1)
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= value
    path.write_bytes(data)
    read_metadata(path)
    with contextlib.suppress(DataLoss, InvalidArgument):
        assert all(isinstance(tensor, torch.Tensor) for tensor in read_tensors(path).values())
