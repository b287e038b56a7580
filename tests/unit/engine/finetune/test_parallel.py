"""Two processes over gloo, as a job starts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.finetune.checkpoint import load_checkpoint
from penult_server.engine.finetune.job import finetune_job
from tests.finetune_lab import QUICK, Ear, stripes, task_in, write_snapshot


def run(directory: Path, train: int = 4, **settings: Any) -> tuple[Any, Ear]:
    write_snapshot(directory, stripes(classes=2, train=train, validation=1))
    task, ear = task_in(directory)
    wanted = {
        **QUICK, "start": "random", "batch_size": 4, "batch_norm": "frozen", "optimizer": "momentum",
        "learning_rate": 0.01, "ema": 0, "average_from": 1, **settings,
    }  # fmt: skip
    return finetune_job(task, {"backbone": "test_resnet", "catalog": {}, "settings": wanted}), ear


def test_two_processes_match_one_at_the_same_global_batch(tmp_path: Path) -> None:
    run(tmp_path / "one")
    made, ear = run(tmp_path / "two", processes=2)
    assert made["finetune"]["steps"] == 4
    assert any(line.startswith("epoch 2: ") for line in ear.log)
    one, two = (load_checkpoint(tmp_path / name / "training" / "last.safetensors") for name in ("one", "two"))
    assert one is not None
    assert two is not None
    start = torch.cat([p.flatten() for p in one["model"].values() if p.is_floating_point()])
    end = torch.cat([p.flatten() for p in two["model"].values() if p.is_floating_point()])
    assert torch.allclose(start, end, atol=1e-5)
    assert (
        made["finetune"]["backbone_weights_sha256"] != made["finetune"]["lineage"]["backbone_weights_sha256"]
    )


def test_what_a_process_refuses_is_the_jobs_error(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        run(tmp_path, processes=2, batch_size=2, train=6, learning_rate=1e30)
    assert refused.value.reason == "TRAINING_DIVERGED"


def test_a_set_that_does_not_fill_a_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        run(tmp_path, processes=2, batch_size=64)
    assert refused.value.reason == "SET_TOO_SMALL"
