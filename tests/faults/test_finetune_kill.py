"""Kill -9 of a worker in the middle of an epoch: what goes on ends with the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from penult_server.engine.finetune.curves import read_rows
from tests.finetune_lab import QUICK, stripes, write_snapshot
from tests.worker_process import worker

SETTINGS: dict[str, Any] = {
    **QUICK, "start": "random", "epochs": 2, "batch_size": 4, "augmentation": "randaugment", "mixup": 0.2,
    "stochastic_depth": 0.2, "dropout": 0.2, "batch_norm": "update", "average_from": 0.4, "loader_workers": 1,
    "checkpoint_seconds": 0,
}  # fmt: skip
STEPS_IN_EPOCH = 4
PARAMETERS = {"backbone": "test_resnet", "catalog": {}, "settings": SETTINGS}
JOB = "finetune", "penult_server.engine.finetune.job"


def messages(process: Any) -> Any:
    for line in process.stdout:
        yield json.loads(line)


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        write_snapshot(tmp_path / name, stripes(classes=2, train=2 * STEPS_IN_EPOCH, validation=2))
    with worker(*JOB, tmp_path / "whole", PARAMETERS) as process:
        errors = [message for message in messages(process) if message["type"] == "error"]
        assert process.wait() == 0, errors
    with worker(*JOB, tmp_path / "killed", PARAMETERS) as process:
        for message in messages(process):
            if (
                message["type"] == "progress"
                and message["phase"] == "train"
                and message["done"] > STEPS_IN_EPOCH
            ):
                break
        process.kill()
        process.wait()
    last_row = read_rows(tmp_path / "killed" / "training" / "curves.jsonl")[-1]["step"]
    assert last_row < 2 * STEPS_IN_EPOCH
    assert not (tmp_path / "killed" / "result.json").exists()
    with worker(*JOB, tmp_path / "killed", PARAMETERS) as process:
        said = [message["text"] for message in messages(process) if message["type"] == "log"]
        assert process.wait() == 0
    assert any(text.startswith("goes on after step ") for text in said)

    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed")]
    for result in results:
        assert result["evidence"].pop("seconds")["train"] > 0
    assert results[0] == results[1]
    for file in ("backbone.safetensors", "head.safetensors"):
        whole, killed = (load_file(tmp_path / name / "model" / file) for name in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        assert all(torch.equal(tensor, killed[name]) for name, tensor in whole.items()), f"{file} differs"
    losses = [
        [row["loss"] for row in read_rows(tmp_path / name / "model" / "curves.jsonl") if "loss" in row]
        for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 2 * STEPS_IN_EPOCH
