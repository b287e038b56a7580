"""Fine-tuning over a real server: a tiny network trained end to end, and what came out used everywhere."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import penult
from tests.finetune_lab import picture

SECONDS = 400
LABELS = ("class0", "class1")
QUICK: dict[str, Any] = {
    "backbone": "test_resnet", "start": "random", "epochs": 2, "batch_size": 8, "loader_workers": 0,
    "preflight": False, "cache_mb": 64,
}  # fmt: skip
"""A run of seconds: the network has 0.4 million parameters."""
NEXT = {
    **{key: value for key, value in QUICK.items() if key not in ("backbone", "start")}, "linear_probe": False,
}  # fmt: skip
"""Without the probe, which may win and leave the backbone as it was."""


def fill(client: penult.Client, name: str, *, classes: int = 2) -> None:
    client.datasets.create(name)
    for label in range(classes):
        splits: list[Any] = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
        pictures = [picture(label, number) for number in range(len(splits))]
        client.datasets.add(name, pictures, f"class{label}", split=splits)


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as client:
        yield client


@pytest.fixture(scope="module")
def stripes(client: penult.Client) -> Iterator[str]:
    fill(client, "stripes")
    yield "stripes"
    client.datasets.delete("stripes")


@pytest.fixture(scope="module")
def tuned(client: penult.Client, stripes: str) -> Iterator[penult.Model]:
    yield client.models.finetune("tuned", dataset=stripes, **QUICK).result(timeout=SECONDS)
    client.models.delete("tuned")


def test_it_ends_in_a_version_with_its_own_backbone_evidence_and_lineage(
    client: penult.Client, stripes: str, tuned: penult.Model
) -> None:
    assert (tuned.reference, tuned.kind, tuned.labels) == ("tuned@1", "fine_tuned", LABELS)
    assert tuned.evidence is not None
    assert (tuned.evidence.measured_on, tuned.evidence.train_count) == ("test", 16)
    lineage = tuned.lineage
    assert lineage is not None
    assert (lineage.backbone, lineage.start_backbone, lineage.parent) == (
        "models/tuned@1", "test_resnet", "",
    )  # fmt: skip
    assert (lineage.dataset, lineage.dataset_revision) == (stripes, client.datasets.get(stripes).revision)
    assert lineage.parameters["optimizer"] == "adamw"
    assert lineage.variant in ("plain", "ema", "mean")
    assert client.models.get("tuned") == tuned
    (job,) = client.jobs.list(kind="finetune", subject="tuned")
    assert (job.id, job.resumable) == (lineage.job, True)
    epochs = [event.metrics for event in job.watch() if event.metrics and "accuracy" in event.metrics]
    assert len(epochs) == 2
    assert {"loss", "rate", "gradient_norm", "images_per_second", "train_accuracy"} <= set(job.metrics)


def test_its_backbone_has_a_fingerprint_of_its_own_and_an_index_keeps_to_it(
    client: penult.Client, tuned: penult.Model
) -> None:
    found = client.backbones.load("models/tuned")
    assert (found.name, found.source, found.architecture) == (tuned.backbone, "fine_tuned", "test_resnet")
    assert tuned.lineage is not None
    assert found.fingerprint == tuned.lineage.fingerprint != client.backbones.get().fingerprint
    assert tuned.backbone in [one.name for one in client.backbones.list(sources=["fine_tuned"])]
    pictures = [picture(0, 50), picture(1, 51)]
    features = client.extract(pictures, backbone="models/tuned@1")
    assert features.shape == (2, found.dim)
    many = client.extract(pictures * 40, backbone="models/tuned@1")
    assert np.allclose(many[-2:], features, rtol=1e-4, atol=1e-4)
    index = client.indexes.create("tuned-index", backbone="models/tuned")
    try:
        assert index.backbone == "models/tuned@1"
        index.add(pictures, ids=["a", "b"])
        assert index.search(pictures[1], k=1)[0].id == "b"
        with pytest.raises(penult.FailedPrecondition) as refused:
            client.models.delete("tuned")
        assert (refused.value.reason, "tuned-index" in refused.value.message) == ("MODEL_IN_USE", True)
    finally:
        client.indexes.delete("tuned-index")


def test_it_predicts_evaluates_and_joins_an_ensemble(
    client: penult.Client, stripes: str, tuned: penult.Model
) -> None:
    pictures = [picture(label, 100 + n) for n in range(20) for label in (0, 1)]
    one_call, stream = client.models.predict("tuned", pictures[:8]), client.models.predict("tuned", pictures)
    assert [p.label for p in one_call] == [p.label for p in stream[:8]]
    evaluation = client.models.evaluate("tuned", dataset=stripes, timeout=SECONDS)
    assert tuned.evidence is not None
    assert evaluation.accuracy == tuned.evidence.evaluation.accuracy
    assert evaluation.log_loss == pytest.approx(tuned.evidence.evaluation.log_loss, abs=1e-3)
    head = client.models.train_head(
        "on-tuned", dataset=stripes, head="nearest_centroid", backbone="models/tuned"
    ).result(timeout=SECONDS)
    assert head.backbone == "models/tuned@1"
    assert client.models.predict("on-tuned", pictures[:2])[0].label in LABELS
    both = client.models.ensemble("both-tuned", ["tuned", "on-tuned"])
    assert client.models.predict(both.reference, pictures[:2])[0].label in LABELS
    client.models.delete("both-tuned")
    with pytest.raises(penult.FailedPrecondition) as refused:
        client.models.delete("tuned@1")
    assert (refused.value.reason, "on-tuned@1" in refused.value.message) == ("MODEL_IN_USE", True)
    client.models.delete("on-tuned")


@pytest.mark.parametrize("format", ["onnx", "checkpoint", "arrays"])
def test_every_format_exports_it(
    client: penult.Client, tuned: penult.Model, tmp_path: Path, format: Any
) -> None:
    path = client.models.export("tuned", tmp_path, format=format, timeout=SECONDS)
    assert path.stat().st_size > 0
    if format == "checkpoint":
        own = client.models.download("tuned", tmp_path, files=["backbone.safetensors"])[0]
        exported, kept = load_file(path), load_file(own)
        assert all(np.array_equal(exported[name], tensor) for name, tensor in kept.items())


def test_curves_and_diagnosis_are_kept_with_it(
    client: penult.Client, tuned: penult.Model, tmp_path: Path
) -> None:
    names = {file.name for file in client.models.files("tuned")}
    assert {"backbone.safetensors", "curves.jsonl", "curves.png", "finetune.json", "head.json"} <= names
    paths = client.models.download("tuned@1", tmp_path / "new", files=["curves.*", "events.*", "*.json"])
    assert {"curves.png", "finetune.json"} <= {path.name for path in paths}
    assert any(path.name.startswith("events.out.tfevents") for path in paths)
    described = json.loads((tmp_path / "new" / "finetune.json").read_text())
    assert described["variant"] == (tuned.lineage.variant if tuned.lineage else "")
    with pytest.raises(penult.NotFound) as missing:
        client.models.download("tuned", tmp_path, files=["../penult.db"])
    assert missing.value.reason == "FILE_NOT_FOUND"
    assert tuned.lineage is not None
    plot = client.jobs.plot(tuned.lineage.job, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes() == plot.png
    assert plot.png.startswith(b"\x89PNG")
    assert [finding.symptom for finding in plot.findings] == [
        finding["symptom"] for finding in described["diagnosis"]
    ]


def test_the_schedule_is_drawn_before_training(client: penult.Client, stripes: str) -> None:
    drawn = client.models.draw_schedule(
        dataset=stripes, schedule="step", epochs=4, batch_size=8, warmup=0, learning_rate=0.5
    )
    assert (len(drawn.factors), drawn.factors[0], drawn.peak_rate) == (8, 1.0, 0.5)
    assert drawn.factors[-1] < 1
    assert drawn.png.startswith(b"\x89PNG")
    proposed = client.models.draw_schedule(dataset=stripes, learning_rate="proposed")
    assert proposed.peak_rate is None


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"optimizer": "rmsprp"}, "OPTIMIZER_UNKNOWN", "rmsprop"),
    ({"schedule": "cosin"}, "SCHEDULE_UNKNOWN", "cosine"),
    ({"trainable": "layer5"}, "LAYER_UNKNOWN", "layer4"),
    ({"epoch": 3}, "SETTING_UNKNOWN", "epochs"),
    ({"epochs": 0}, "BAD_SETTING", "epochs"),
    ({"learning_rate": -1}, "BAD_SETTING", "learning_rate"),
    ({"processes": 8, "batch_size": 64}, "SET_TOO_SMALL", "processes"),
    ({"backbone": "resnet5000"}, "BACKBONE_UNKNOWN", "resnet50"),
    ({"backbone": "models/nobody"}, "MODEL_NOT_FOUND", "nobody"),
    ({"init_from": "nobody", "backbone": "test_resnet"}, "TWO_STARTS", "init_from"),
    ({"dataset": "nothing"}, "DATASET_NOT_FOUND", "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "reason", "word"), REFUSALS)
def test_what_cannot_work_is_refused_at_once(
    client: penult.Client, stripes: str, changed: dict[str, Any], reason: str, word: str
) -> None:
    with pytest.raises(penult.PenultError) as refused:
        client.models.finetune("refused", **{**QUICK, "dataset": stripes, **changed})
    assert refused.value.reason == reason
    assert word in refused.value.message
    assert client.jobs.list(kind="finetune", subject="refused") == []


def test_a_dataset_that_teaches_nothing_is_refused_at_once(client: penult.Client) -> None:
    fill(client, "one-class", classes=1)
    client.datasets.create("empty")
    try:
        for name, reason in (("one-class", "ONE_CLASS"), ("empty", "DATASET_EMPTY")):
            with pytest.raises(penult.FailedPrecondition) as refused:
                client.models.finetune("refused", dataset=name, **QUICK)
            assert (refused.value.reason, bool(refused.value.hint)) == (reason, True)
    finally:
        client.datasets.delete("one-class")
        client.datasets.delete("empty")


def test_the_asyncio_client_does_the_same_and_hears_why_a_training_fails(
    server: Any, stripes: str, tuned: penult.Model, tmp_path: Path
) -> None:
    async def use() -> list[Path]:
        async with penult.AsyncClient(server.target) as client:
            wild = {**QUICK, "learning_rate": 1e30, "optimizer": "sgd", "batch_size": 2, "clip_norm": 0}
            job = await client.models.finetune("wild", dataset=stripes, **wild)
            with pytest.raises(penult.JobFailed) as failed:
                await job.result(SECONDS)
            assert failed.value.reason == "TRAINING_DIVERGED"
            assert "learning rate" in failed.value.hint
            with pytest.raises(penult.NotFound):
                await client.models.get("wild")
            await client.jobs.delete(job.id)
            assert tuned.lineage is not None
            await client.jobs.plot(tuned.lineage.job, tmp_path / "curves.png")
            await client.models.draw_schedule(dataset=stripes)
            assert await client.models.files("tuned")
            return await client.models.download("tuned", tmp_path, files=["head.*", "curves.png"])

    assert {path.name for path in asyncio.run(use())} == {"head.json", "head.safetensors", "curves.png"}


def test_the_command_line_goes_on_from_a_model_and_an_old_index_refuses_the_new_features(
    server: Any, client: penult.Client, stripes: str, tuned: penult.Model, tmp_path: Path
) -> None:
    def penult_cli(*words: str) -> str:
        command = [sys.executable, "-m", "penult.cli", *words, "--target", server.target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    settings = [word for key, value in NEXT.items() for word in ("-s", f"{key}={json.dumps(value)}")]
    train = ("finetune", stripes, "--model", "chained", "--init-from", "tuned", *settings)
    penult_cli(*train, "--draw-schedule", "schedule.png")
    made = json.loads(penult_cli(*train, "--json"))
    assert (made["name"], made["kind"]) == ("chained", "fine_tuned")
    lineage = made["lineage"]
    assert (lineage["parent"], lineage["start_backbone"]) == ("tuned@1", "models/tuned@1")
    assert penult_cli("jobs", "plot", lineage["job"], "--out", "curves.png").strip() == "curves.png"
    penult_cli("jobs", "diagnosis", lineage["job"])
    assert "curves.jsonl" in penult_cli("models", "files", "chained")
    assert {file.name for file in tmp_path.iterdir()} == {"schedule.png", "curves.png"}

    index = client.indexes.create("old-index", backbone="models/tuned")
    features = client.extract([picture(0, 1)], backbone="models/chained")
    with pytest.raises(penult.FailedPrecondition) as refused:
        index.add_vectors(features, ids=["a"], fingerprint=lineage["fingerprint"])
    assert refused.value.reason == "FINGERPRINT_MISMATCH"
    client.indexes.delete("old-index")
    client.models.delete("chained")
