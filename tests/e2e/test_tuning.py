"""Tuning over a real server: a tiny study that ends in a version, its table and its picture."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import penult
from tests.finetune_lab import picture

SECONDS = 500
QUICK: dict[str, Any] = {
    "start": "random", "epochs": 1, "batch_size": 8, "loader_workers": 0, "preflight": False, "cache_mb": 64,
}  # fmt: skip
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "weight_decay": (0.0, 0.01, 0.1)}


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as client:
        client.datasets.create("tuning-stripes")
        for label in range(2):
            splits: list[Any] = ["train"] * 8 + ["validation"] * 4 + ["test"] * 2
            pictures = [picture(label, number) for number in range(len(splits))]
            client.datasets.add("tuning-stripes", pictures, f"class{label}", split=splits)
        yield client
        client.datasets.delete("tuning-stripes")


@pytest.fixture(scope="module")
def tuned(client: penult.Client) -> Iterator[penult.Tuning]:
    """Cancelled after its first trial, and resumed: nothing is lost by it."""
    job = client.models.tune(
        "searched", dataset="tuning-stripes", backbone="test_resnet", space=SPACE, search="random", trials=3,
        refine=0.4, **QUICK,
    )  # fmt: skip
    for event in job.watch(timeout=SECONDS):
        if event.metrics and event.metrics.get("trials_ended") == 1:
            break
    job.cancel()
    with pytest.raises(penult.Cancelled):
        job.result(timeout=SECONDS)
    assert len(client.jobs.plot(job.id).png) > 1000
    yield job.resume().result(timeout=SECONDS)
    client.models.delete("searched")


def test_it_ends_in_a_version_and_a_table(client: penult.Client, tuned: penult.Tuning) -> None:
    model = tuned.model
    assert (model.reference, model.kind) == ("searched@1", "fine_tuned")
    assert [trial.number for trial in tuned.trials] == [1, 2, 3]
    assert [trial.stage for trial in tuned.trials] == [1, 1, 2]
    assert (tuned.search, tuned.pruner, tuned.validation_count, len(tuned.spaces)) == (
        "random",
        "median",
        8,
        2,
    )
    assert all(len(trial.accuracies) == len(trial.losses) == 1 for trial in tuned.trials)
    best = tuned.best
    assert best.accuracy == max(trial.accuracy or 0.0 for trial in tuned.trials)
    assert "best of 3 trials, so optimistic" in tuned.notes[0]
    assert "test images were looked at once" in tuned.notes[0]
    assert model.lineage is not None
    for name, value in best.settings.items():
        assert model.lineage.parameters[name] == pytest.approx(value)
    assert client.models.get("searched") == model
    assert model.evidence is not None
    assert (model.evidence.measured_on, model.evidence.evaluation.count) == ("test", 4)
    assert client.models.predict("searched", [picture(0, 90)])[0].label in ("class0", "class1")

    (job,) = client.jobs.list(kind="tune", subject="searched")
    assert job.resumable
    assert isinstance(job.output, penult.Tuning)
    assert job.output.trials == ()
    assert job.result() == tuned  # all of it, also of a job from a list
    assert (job.output.best_trial, job.metrics["best_trial"]) == (tuned.best_trial, tuned.best_trial)
    phases = {event.progress.phase for event in job.watch() if event.progress is not None}
    assert {"decode", "coarse", "refine", "finish"} <= phases
    lines = [event.log for event in job.watch() if event.log]
    assert sum(line.startswith("trial 1: learning_rate=") for line in lines) == 1  # not trained again
    assert any(line.startswith("goes on with ") for line in lines)


def test_the_picture_and_the_files(client: penult.Client, tuned: penult.Tuning, tmp_path: Path) -> None:
    (job,) = client.jobs.list(kind="tune", subject="searched")
    plot = client.jobs.plot(job.id, tmp_path / "trials.png")
    assert Image.open(io.BytesIO(plot.png)).width > 1000
    assert (tmp_path / "trials.png").read_bytes() == plot.png
    names = {file.name for file in client.models.files("searched")}
    assert {"tuning.json", "trials.jsonl", "trials.png", "curves.png", "backbone.safetensors"} <= names
    (path,) = client.models.download("searched", tmp_path, files=["tuning.json"])
    assert json.loads(path.read_text())["best_trial"] == tuned.best_trial


def test_what_cannot_be_tuned_is_refused_at_once(client: penult.Client) -> None:
    def refusal(**changed: Any) -> penult.errors.PenultError:
        wanted: dict[str, Any] = {"dataset": "tuning-stripes", "backbone": "test_resnet", "space": SPACE}
        with pytest.raises(penult.errors.PenultError) as refused:
            client.models.tune("refused", **{**wanted, **QUICK, **changed})
        return refused.value

    def reasons(**spaces: Any) -> list[str]:
        return [refusal(space={name: value}).reason for name, value in spaces.items()]

    assert reasons(
        learning_rat=[1, 2], seed=[1, 2], epochs=[1, 2], dropout={"low": 1, "high": 0}, mixup=0.1
    ) == ["SETTING_UNKNOWN", "SETTING_NOT_TUNABLE", "SETTING_TWICE", "SPACE_INVALID", "NOTHING_TO_TUNE"]
    assert "learning_rate" in refusal(space={"learning_rat": [1, 2]}).hint
    wrong = refusal(space={"dropout": {"low": 0.0, "high": 1.5}})
    assert (wrong.reason, "dropout=1.5" in wrong.message) == ("BAD_SETTING", True)
    assert refusal(space={"optimizer": ["adamw", "adamx"]}).reason == "OPTIMIZER_UNKNOWN"
    assert refusal(search="tpa").reason == "SEARCH_UNKNOWN"
    assert "median" in refusal(pruner="medium").hint
    assert refusal(search="grid", search_options={"point": 3}).reason == "TUNING_OPTION_INVALID"
    assert refusal(search="grid", search_options={"points": 9}, trials=10).reason == "GRID_TOO_LARGE"
    assert refusal(refine=0.95).reason == "BAD_BUDGET"
    assert refusal(trials=1001).reason == "BAD_BUDGET"
    assert refusal(minutes=-1.0).reason == "BAD_BUDGET"
    assert refusal(processes=2, batch_size=8).reason == "BAD_SETTING"
    assert isinstance(refusal(dataset="nowhere"), penult.NotFound)
    assert client.jobs.list(kind="tune", subject="refused") == []


def test_the_command_line_starts_the_same(server: Any, client: penult.Client) -> None:
    command = [
        sys.executable, "-m", "penult.cli", "tune", "tuning-stripes", "--model", "searched-cli", "--target",
        server.target, "--backbone", "test_resnet", "-v", "learning_rate=1e-4..1e-2:log", "--trials", "1",
        "--no-wait", "-s", "start=random",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    job = client.jobs.get(done.stdout.strip()).cancel()
    assert (job.kind, job.subject) == ("tune", "searched-cli")
    with pytest.raises(penult.Cancelled):
        job.result(timeout=SECONDS)
