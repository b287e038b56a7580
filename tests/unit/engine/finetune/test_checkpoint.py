from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from penult_server.core.errors import DataLoss
from penult_server.engine.finetune.checkpoint import load_checkpoint, restore_optimizer, save_checkpoint
from penult_server.engine.finetune.optimizers import RATES, make_optimizer


def test_nested_state_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state = {
        "a": shared, "b": {"c": [shared[0], 1, None, "x", True], "d": (0.9, 0.999)}, "e": torch.tensor(3),
        "half": torch.ones(2, dtype=torch.bfloat16), "empty": {},
    }  # fmt: skip
    save_checkpoint(tmp_path / "x.safetensors", state)
    back = load_checkpoint(tmp_path / "x.safetensors")
    assert back is not None
    assert torch.equal(back["a"], shared)
    assert torch.equal(back["b"]["c"][0], shared[0])
    assert back["b"]["c"][1:] == [1, None, "x", True]
    assert back["b"]["d"] == (0.9, 0.999)
    assert back["e"] == 3
    assert back["half"].dtype is torch.bfloat16
    assert back["empty"] == {}
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_none_and_damaged(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "x.safetensors") is None
    save_checkpoint(tmp_path / "x.safetensors", {"a": torch.ones(100)})
    os.truncate(tmp_path / "x.safetensors", 200)
    with pytest.raises(DataLoss) as damaged:
        load_checkpoint(tmp_path / "x.safetensors")
    assert damaged.value.reason == "CHECKPOINT_DAMAGED"
    assert str(tmp_path) not in damaged.value.message


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    file = tmp_path / "x.safetensors"
    save_checkpoint(file, {"n": 1, "a": torch.ones(2)})

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(file, {"n": 2, "a": torch.ones(2)})
    monkeypatch.undo()
    back = load_checkpoint(file)
    assert back is not None
    assert back["n"] == 1


def test_a_failure_to_write_keeps_the_number_of_the_operating_system(tmp_path: Path) -> None:
    with pytest.raises(OSError) as failed:  # noqa: PT011 - the number is looked at
        save_checkpoint(tmp_path / "gone" / "x.safetensors", {"a": torch.ones(2)})
    assert failed.value.errno == errno.ENOENT
    assert str(tmp_path) not in str(failed.value)


@pytest.mark.parametrize("name", [*RATES, "lamb", "lion", "nadamw", "muon", "adafactor", "adabelief"])
def test_an_optimiser_goes_on_bit_by_bit(tmp_path: Path, name: str) -> None:
    """Also where weights are laid out channels last, as convolutions like them."""

    def made() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
        net = net.to(memory_format=torch.channels_last)
        groups = [{"params": list(net.parameters()), "weight_decay": 0.01, "lr_scale": 1.0}]
        return net, make_optimizer(name, groups, 0.01, {})

    def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            net(torch.randn(4, 3, 8, 8)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    net, optimizer = made()
    train(net, optimizer, range(3))
    save_checkpoint(
        tmp_path / "x.safetensors", {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    )
    train(net, optimizer, range(3, 6))
    saved = load_checkpoint(tmp_path / "x.safetensors")
    assert saved is not None
    other, its_optimizer = made()
    other.load_state_dict(saved["net"])
    restore_optimizer(its_optimizer, saved["optimizer"])
    train(other, its_optimizer, range(3, 6))
    for expected, found in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(expected, found)
