"""The whole job on a tiny network of timm's with random weights, all in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from penult_server.core.errors import FailedPrecondition
from penult_server.core.tuning import RECORD, TrialEnded, TrialState
from penult_server.engine.tuning import job
from penult_server.engine.tuning.job import tune_job
from penult_server.engine.tuning.record import read_record
from tests import tuning_lab
from tests.finetune_lab import QUICK, Ear, stripes, task_in, write_snapshot

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "weight_decay": {"low": 1e-4, "high": 1e-1, "log": True},
    "augmentation": ["none", "crop"],
}
TUNING: dict[str, Any] = {
    "space": SPACE, "search": "random", "search_options": {}, "pruner": "median",
    "pruner_options": {"startup_trials": 1, "warmup_epochs": 1}, "trials": 3, "seconds": 0.0, "refine": 0.4,
    "parallel": 0,
}  # fmt: skip


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the start of a process."""
    monkeypatch.setattr(job, "_slots", tuning_lab.here)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


def run(directory: Path, **changed: Any) -> tuple[Any, Ear]:
    task, ear = task_in(directory)
    settings = {**QUICK, "start": "random", "epochs": 2, "batch_size": 8, **changed.pop("settings", {})}
    tuning = {**TUNING, **changed}
    return tune_job(
        task, {"backbone": "test_resnet", "catalog": {}, "settings": settings, "tuning": tuning}
    ), ear


def test_a_study_ends_with_the_model_of_its_best_trial_and_a_resumed_one_says_the_same(
    tmp_path: Path,
    here: None,
) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=8, validation=4, test=2))
    made, ear = run(tmp_path)
    trials = made["tuning"]["trials"]
    assert [trial["number"] for trial in trials] == [1, 2, 3]
    assert [trial["stage"] for trial in trials] == [1, 1, 2]
    assert len(made["tuning"]["spaces"]) == 2
    best = trials[made["tuning"]["best_trial"] - 1]
    assert best["accuracy"] == max(trial["accuracy"] for trial in trials)
    assert {name: made["finetune"]["settings"][name] for name in SPACE} == best["settings"]
    assert made["finetune"]["validation"]["accuracy"] == best["accuracy"]
    assert made["evidence"]["measured_on"] == "test"
    assert made["evidence"]["evaluation"]["count"] == 4
    assert "best of 3 trials, so optimistic" in made["tuning"]["notes"][0]
    for trial in trials:
        epochs = 1 if trial["state"] == "pruned" else 2
        assert len(trial["accuracies"]) == len(trial["losses"]) == epochs
        assert trial["seconds"] > 0

    folder = tmp_path / "model"
    assert json.loads((folder / "tuning.json").read_text()) == made["tuning"]
    assert Image.open(io.BytesIO((folder / "trials.png").read_bytes())).width > 1000
    assert {"backbone.safetensors", "head.safetensors", "curves.png", RECORD} <= {
        f.name for f in folder.iterdir()
    }
    weights = [file.parent.name for file in (tmp_path / "trials").rglob("*.safetensors")]
    assert set(weights) == {f"{best['number']:04d}"}
    assert {"decode", "coarse", "refine", "finish"} <= set(ear.phases)
    assert ear.metrics["best_trial"] == best["number"]
    assert any(line.startswith("trial 2: augmentation=") for line in ear.log)

    again, second = run(tmp_path)
    assert again == made
    assert not any(line.startswith("trial 1") for line in second.log)


def test_tpe_and_a_trial_that_diverges(tmp_path: Path, here: None) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=8, validation=4))
    space = {"learning_rate": [1e-3, 1e30], "dropout": {"low": 0.0, "high": 0.5}}
    made, _ = run(
        tmp_path, space=space, search="tpe", search_options={"startup_trials": 2}, refine=0.0, trials=5,
        pruner="none", pruner_options={}, settings={"optimizer": "sgd", "clip_norm": 0.0, "epochs": 1},
    )  # fmt: skip
    trials = made["tuning"]["trials"]
    assert len(trials) == 5
    states = {trial["settings"]["learning_rate"]: trial["state"] for trial in trials}
    assert states == {1e-3: "finished", 1e30: "failed"}
    assert {t["reason"] for t in trials if t["state"] == "failed"} == {"TRAINING_DIVERGED"}
    assert made["evidence"]["measured_on"] != "test"
    assert "no test images" in made["tuning"]["notes"][0]


def test_a_study_in_which_nothing_can_be_trained_fails_with_the_reason(tmp_path: Path, here: None) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=8, validation=4))
    with pytest.raises(FailedPrecondition, match="TRAINING_DIVERGED") as refused:
        run(
            tmp_path,
            space={"learning_rate": [1e30, 1e31]},
            trials=2,
            settings={"clip_norm": 0.0, "optimizer": "sgd"},
        )
    assert refused.value.reason == "TRIALS_FAILED"
    ends = [event for event in read_record(tmp_path / RECORD) if isinstance(event, TrialEnded)]
    assert [end.state for end in ends] == [TrialState.FAILED] * 2
