"""The whole job on a tiny network of timm's with random weights, as a worker runs it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.finish_jobs import FINISH
from penult_server.core.snapshot import image_file
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.finetune.job import finetune_job
from penult_server.engine.finetune.prepared import prepare_job
from penult_server.engine.heads.files import load_head
from tests.finetune_lab import QUICK, Ear, picture, stripes, task_in, write_snapshot


def run(directory: Path, **changed: Any) -> tuple[Any, Ear]:
    task, ear = task_in(directory)
    settings = {**QUICK, "start": "random", "epochs": 1, "batch_size": 4, **changed.pop("settings", {})}
    parameters = {"backbone": "test_resnet", "catalog": {}, "settings": settings, **changed}
    return finetune_job(task, parameters), ear


def placeholder(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 30), (90, 90, 90)).save(file, "PNG", compress_level=shade)
    return file.getvalue()


def test_a_job_ends_with_a_model_and_its_evidence(tmp_path: Path) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=5, validation=2, test=2))
    settings = {"preflight": True, "keep_averages": True, "schedule": "cyclic", "keep": 2, "epochs": 3}
    made, ear = run(tmp_path, settings=settings)
    assert made["labels"] == ["class0", "class1"]
    assert made["evidence"]["measured_on"] == "test"
    assert made["evidence"]["evaluation"]["count"] == 4
    assert made["evidence"]["train_count"] == 10
    kept, ensemble = {each["variant"] for each in made["kept"]}, made["ensemble"]
    made = made["finetune"]
    assert made["lineage"]["backbone"] == "test_resnet"
    assert (made["lineage"]["dataset"], made["lineage"]["revision"]) == ("shapes", 3)
    assert set(made["candidates"]) == {"plain", "ema", "ensemble"}
    assert made["validation"] == {**made["candidates"][made["variant"]], "count": 4}
    assert made["counts"] == {"train": 10, "test": 4}
    assert made["preflight"]["expected_loss"] == pytest.approx(np.log(2))
    folder = tmp_path / "model"
    assert json.loads((folder / "finetune.json").read_text()) == made
    names = {file.name for file in folder.iterdir()}
    assert {"backbone.safetensors", "head.safetensors", "head.json", "evidence.json"} <= names
    assert {"curves.jsonl", "curves.png"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert kept == {folder.name for folder in (tmp_path / "kept").iterdir()}
    assert sum(variant.startswith("snapshot-") for variant in kept) == 2
    assert kept - {made["variant"]} == kept
    assert len(kept) == 3
    best = made["candidates"][made["variant"]]
    better = (-made["candidates"]["ensemble"]["accuracy"], made["candidates"]["ensemble"]["loss"])
    assert (ensemble is not None) == (better < (-best["accuracy"], best["loss"]))
    if ensemble is not None:
        assert ensemble["evaluation"]["count"] == 4
    for variant in kept:
        own = json.loads((tmp_path / "kept" / variant / "finetune.json").read_text())
        assert own["variant"] == variant
        assert load_head(tmp_path / "kept" / variant).head.classes == ("class0", "class1")
    assert {"decode", "preflight", "train", "finish"} <= set(ear.phases)


def test_the_model_is_a_backbone_that_gives_the_trained_features(tmp_path: Path) -> None:
    examples = write_snapshot(tmp_path, stripes(classes=2, train=2, validation=1))
    made, _ = run(tmp_path)
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (tmp_path / "model" / "backbone.safetensors").rename(checkpoints / "mine.safetensors")
    made = made["finetune"]
    built = Catalog(checkpoints, None, allow_download=False).build("mine")
    assert built.weights_sha256 == made["backbone_weights_sha256"]
    assert built.weights_sha256 != made["lineage"]["backbone_weights_sha256"]
    assert (
        built.facts.preprocess == Catalog(None, None, allow_download=False).describe("test_resnet").preprocess
    )
    head = load_head(tmp_path / "model").head
    with Image.open(image_file(tmp_path, examples[0].sha256)) as one:
        pixels = torch.from_numpy(np.array(one.resize((160, 160)))).unsqueeze(0)
    assert head.classes == ("class0", "class1")
    assert head.probabilities(built.network(pixels).numpy()).sum() == pytest.approx(1)


def test_fine_tuning_starts_from_an_earlier_model_by_a_linear_probe(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "a", stripes(classes=2, train=2, validation=1))
    run(tmp_path / "a")
    write_snapshot(tmp_path / "b", stripes(classes=3, train=2, validation=1))
    given = {"checkpoint_dir": str(tmp_path / "a" / "model")}
    made, ear = run(tmp_path / "b", backbone="backbone", catalog=given, settings={"start": "pretrained"})
    assert made["finetune"]["lineage"]["backbone"] == "backbone"
    assert "probe" in made["finetune"]["candidates"]
    assert any(line.startswith("linear probe: ") for line in ear.log)
    assert "probe_accuracy" in ear.metrics


def test_a_run_that_starts_again_finds_probe_and_statistics(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "a", stripes(classes=2, train=2, validation=1))
    run(tmp_path / "a")
    write_snapshot(tmp_path / "b", stripes(classes=2, train=4, validation=2))
    values = {
        "backbone": "backbone", "catalog": {"checkpoint_dir": str(tmp_path / "a" / "model")},
        "settings": {**QUICK, "batch_norm": "update"},
    }  # fmt: skip
    task, ear = task_in(tmp_path / "b")
    first = prepare_job(task, values, torch.device("cpu"))
    again = prepare_job(task, values, torch.device("cpu"))
    assert first.start == again.start
    assert sum(line.startswith("batch norm: ") for line in ear.log) == 1
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_runs_that_train_on_other_batches_adapt_their_own_statistics(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "a", stripes(classes=2, train=2, validation=1))
    run(tmp_path / "a")
    write_snapshot(tmp_path / "b", stripes(classes=2, train=4, validation=2))
    values = {"backbone": "backbone", "catalog": {"checkpoint_dir": str(tmp_path / "a" / "model")}}
    task, ear = task_in(tmp_path / "b")
    for changed in ({"batch_size": 2}, {"batch_size": 4}, {"batch_size": 4, "last_stages": 1}):
        settings = {**QUICK, "batch_norm": "update", **changed}
        prepare_job(task, {**values, "settings": settings}, torch.device("cpu"))
    # How many stages `last` means changes nothing where all of them learn.
    assert sum(line.startswith("batch norm: ") for line in ear.log) == 2


def test_a_job_that_is_asked_to_finish_ends_with_the_best_that_it_has(tmp_path: Path) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=2, validation=1))
    (tmp_path / FINISH).touch()
    made, _ = run(tmp_path, settings={"epochs": 50})
    assert made["finetune"]["ended"] == "asked to finish: ended after epoch 1"
    assert made["finetune"]["steps"] == 1


def test_a_job_that_was_lost_in_the_end_says_the_same_again(tmp_path: Path) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=2, validation=1))
    first, _ = run(tmp_path)
    again, _ = run(tmp_path)
    assert again == first


def test_bad_images_are_listed_and_left_out(tmp_path: Path) -> None:
    files = stripes(classes=2, train=7, validation=1)
    files += [(b"no image", "class0", Split.TRAIN)]
    files += [(placeholder(1), "class0", Split.TRAIN), (placeholder(9), "class1", Split.TRAIN)]
    write_snapshot(tmp_path, files)
    made, ear = run(tmp_path)
    assert made["evidence"]["train_count"] == 14
    assert "3 unusable images are left out" in made["evidence"]["warnings"]
    assert any("class0-16.png (IMAGE_UNRECOGNISED)" in line for line in ear.log)
    same = next(line for line in ear.log if "same picture with different labels" in line)
    assert "class0-17.png" in same
    assert "class1-18.png" in same


def test_too_many_bad_images_stop_it(tmp_path: Path) -> None:
    files = [(b"x%d" % n, "class0", Split.TRAIN) for n in range(4)] + stripes(classes=2, train=3)
    write_snapshot(tmp_path, files)
    with pytest.raises(FailedPrecondition) as refused:
        run(tmp_path)
    assert refused.value.reason == "TOO_MANY_UNUSABLE"


def test_a_batch_larger_than_the_set_is_the_set_and_it_is_said(tmp_path: Path) -> None:
    write_snapshot(tmp_path, stripes(classes=2, train=3, validation=2))
    made, _ = run(tmp_path, settings={"batch_size": 64})
    assert made["finetune"]["steps"] == 1
    assert any("batch_size is 64" in remedy for remedy in made["evidence"]["warnings"])


def test_no_validation_images_is_remedied_and_one_class_refused(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "a", [(picture(n % 2, n), "ab"[n % 2], Split.TRAIN) for n in range(16)])
    made, _ = run(tmp_path / "a")
    assert made["finetune"]["validation"]["count"] >= 2
    assert any("no validation images" in remedy for remedy in made["evidence"]["warnings"])
    write_snapshot(tmp_path / "b", stripes(classes=1))
    with pytest.raises(FailedPrecondition) as refused:
        run(tmp_path / "b")
    assert refused.value.reason == "ONE_CLASS"


def test_images_that_go_missing_under_way_do_not_end_it(tmp_path: Path) -> None:
    """A snapshot holds names of its own, and what was decoded is kept."""
    examples = write_snapshot(tmp_path, stripes(classes=2, train=4, validation=1))
    image_file(tmp_path, examples[0].sha256).unlink()
    made, _ = run(tmp_path)
    assert made["evidence"]["train_count"] == 7


def test_random_weights_follow_from_the_seed(tmp_path: Path) -> None:
    shas = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_snapshot(tmp_path / name, stripes(classes=2, train=1, validation=1))
        made, _ = run(tmp_path / name, settings={"seed": seed, "ema": 0, "average_from": 1})
        shas.append(made["finetune"]["backbone_weights_sha256"])
    assert shas[0] == shas[1] != shas[2]
