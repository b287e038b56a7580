"""Kill -9 of a tuning in mid-study: what goes on repeats no finished trial, and ends as it would have."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from penult_server.core.tuning import RECORD, TrialBegan, TrialEnded
from penult_server.engine.tuning import job
from penult_server.engine.tuning.record import read_record
from tests import tuning_lab
from tests.finetune_lab import QUICK, stripes, task_in, write_snapshot
from tests.long_form import long_only
from tests.worker_process import worker

TUNING: dict[str, Any] = {
    "space": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "dropout": [0.0, 0.3]},
    "search": "tpe", "search_options": {"startup_trials": 1}, "pruner": "none", "pruner_options": {},
    "trials": 3, "seconds": 0.0, "refine": 0.0, "parallel": 1,
}  # fmt: skip
SETTINGS: dict[str, Any] = {**QUICK, "start": "random", "epochs": 2, "batch_size": 4, "checkpoint_seconds": 0}
PARAMETERS = {"backbone": "test_resnet", "catalog": {}, "settings": SETTINGS, "tuning": TUNING}
JOB = "tune", "penult_server.engine.tuning.job"


def child_of(pid: int) -> int:
    """The only process that a worker has started: that of its trials."""
    (child,) = [
        child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    return int(child)


def said(process: Any) -> Iterator[str]:
    for line in process.stdout:
        message = json.loads(line)
        if message["type"] == "log":
            yield message["text"]


@long_only
def test_a_killed_study_goes_on_and_ends_as_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "killed"):
        write_snapshot(tmp_path / name, stripes(classes=2, train=8, validation=4))
    with monkeypatch.context() as changed:
        changed.setattr(job, "_slots", tuning_lab.here)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        job.tune_job(task_in(tmp_path / "whole")[0], PARAMETERS)
        torch.set_num_threads(before)
    with worker(*JOB, tmp_path / "killed", PARAMETERS) as process:
        lines = []
        for text in said(process):
            lines.append(text)
            if text.startswith("trial 1: epoch 1: ") and "again" not in lines:
                lines.append("again")
                os.kill(child_of(process.pid), signal.SIGKILL)
            if text.startswith("trial 2: epoch 1: "):
                break
        assert any(text.startswith("trial 1: its process was lost (exit status -9)") for text in lines)
        assert any(text.startswith("trial 1: goes on after step ") for text in lines)
        process.kill()
        process.wait()
        # Its trial's process dies with it: nothing of it may write where the next run does.
        assert b"trial 2: epoch 2" not in process.stdout.read()
    lost = read_record(tmp_path / "killed" / RECORD)
    assert [event.number for event in lost if isinstance(event, TrialEnded)] == [1]
    with worker(*JOB, tmp_path / "killed", PARAMETERS) as process:
        lines = [*said(process)]
        assert process.wait() == 0, lines
    assert any(text.startswith("goes on with 2 trials, 1 under way") for text in lines)
    assert any(text.startswith("trial 2: goes on after step ") for text in lines)
    assert not any(text.startswith("trial 1: ") for text in lines)

    whole, killed = (read_record(tmp_path / name / RECORD) for name in ("whole", "killed"))
    for kind in (TrialBegan, TrialEnded):
        ours, theirs = ([event for event in events if isinstance(event, kind)] for events in (whole, killed))
        assert [(e.number, getattr(e, "point", None), getattr(e, "accuracy", None)) for e in ours] == [
            (e.number, getattr(e, "point", None), getattr(e, "accuracy", None)) for e in theirs
        ]
    for file in ("backbone.safetensors", "head.safetensors"):
        one, other = (load_file(tmp_path / name / "model" / file) for name in ("whole", "killed"))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items()), f"{file} differs"
