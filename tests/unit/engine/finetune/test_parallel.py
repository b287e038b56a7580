"""Two processes over gloo, as a job starts them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.finetune.checkpoint import load_checkpoint
from penult_server.engine.finetune.job import finetune_job
from tests.finetune_lab import QUICK, Ear, stripes, task_in, write_snapshot


def run(
    directory: Path, train: int = 4, given: Mapping[str, Any] | None = None, **settings: Any
) -> tuple[Any, Ear]:
    write_snapshot(directory, stripes(classes=2, train=train, validation=1))
    task, ear = task_in(directory)
    wanted = {
        **QUICK, "start": "random", "batch_size": 4, "batch_norm": "frozen", "optimizer": "momentum",
        "learning_rate": 0.01, "ema": 0, "average_from": 1, **settings,
    }  # fmt: skip
    parameters = {"backbone": "test_resnet", "catalog": {}, "settings": wanted, **(given or {})}
    return finetune_job(task, parameters), ear


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one process ends with."""
    directory = tmp_path_factory.mktemp("one")
    run(directory)
    return weights(directory)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    saved = load_checkpoint(directory / "training" / "last.safetensors")
    assert saved is not None
    return {name: tensor.float() for name, tensor in saved["model"].items()}


def agree(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name


def test_two_processes_match_one_at_the_same_global_batch(
    tmp_path: Path, one: dict[str, torch.Tensor]
) -> None:
    made, ear = run(tmp_path, processes=2)
    assert made["finetune"]["steps"] == 4
    assert any(line.startswith("epoch 2: ") for line in ear.log)
    agree(one, weights(tmp_path))
    assert (
        made["finetune"]["backbone_weights_sha256"] != made["finetune"]["lineage"]["backbone_weights_sha256"]
    )


def test_two_machines_train_together(tmp_path: Path, one: dict[str, torch.Tensor]) -> None:
    """As two machines do that share a data directory, on one: each with its own torchrun and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rendezvous = f"127.0.0.1:{free.getsockname()[1]}"
    directory = tmp_path / "jobs" / "job-1"
    directory.mkdir(parents=True)
    command = ["-m", "penult_server", "join", "job-1", "--data-dir", str(tmp_path)]
    with subprocess.Popen([sys.executable, *command]) as other:
        try:
            made, ear = run(directory, given={"rendezvous": rendezvous}, nodes=2)
            assert other.wait(300) == 0
        finally:
            other.kill()
    assert made["finetune"]["steps"] == 4
    assert any("for 1 more machines to join" in line for line in ear.log)
    assert any(line.startswith("epoch 2: ") for line in ear.log)
    agree(one, weights(directory))


def test_what_a_process_refuses_is_the_jobs_error(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        run(tmp_path, processes=2, batch_size=2, train=6, learning_rate=1e30)
    assert refused.value.reason == "TRAINING_DIVERGED"


def test_a_set_that_does_not_fill_a_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        run(tmp_path, processes=2, batch_size=64)
    assert refused.value.reason == "SET_TOO_SMALL"
