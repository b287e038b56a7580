from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penult_server.core.errors import FailedPrecondition, ResourceExhausted
from penult_server.engine.finetune import loop
from penult_server.engine.finetune.checkpoint import load_checkpoint
from penult_server.engine.finetune.curves import read_rows
from penult_server.engine.finetune.evaluate import outputs, score
from penult_server.engine.finetune.network import Classifier, prepare
from penult_server.engine.finetune.run import Material, Run
from tests.finetune_lab import Ear, classifier, material, settings, task_in


@pytest.fixture
def made(tmp_path: Path) -> Material:
    return material(tmp_path / "data")


def train(
    made: Material, place: Path, model: Classifier | None = None, rate: float = 1e-3, **values: Any
) -> tuple[Run, Classifier, Ear]:
    place.mkdir(exist_ok=True)
    wanted = settings(**values)
    model = model or classifier(dropout=wanted.dropout)
    prepare(model, wanted, len(made.train))
    task, ear = task_in(place)
    return loop.finetune(model, made, wanted, rate, place, task), model, ear


def weights(model: Classifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(some: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(some[name], others[name]) for name in some)


def test_it_learns_and_keeps_the_best(made: Material, tmp_path: Path) -> None:
    run, model, ear = train(made, tmp_path / "run", epochs=12, rate=3e-3)
    assert run.step == 36
    assert run.ended == "all epochs are done"
    best = load_checkpoint(tmp_path / "run" / f"{run.winner()}.safetensors")
    assert best is not None
    model.load_state_dict(best)
    positions, targets = made.validation
    found = score(outputs(model, model, made.train.pictures, positions), targets)
    assert (found.accuracy, found.negative_loss) == tuple(run.best[run.winner()][:2])
    assert found.accuracy > 0.6
    assert ear.metrics["accuracy"] > 0
    assert ear.phases[-1] == "train"


def test_curves_have_every_step_and_every_epoch(made: Material, tmp_path: Path) -> None:
    train(made, tmp_path / "run", epochs=4)
    rows = read_rows(tmp_path / "run" / "curves.jsonl")
    steps, epochs = [r for r in rows if "loss" in r], [r for r in rows if "epoch" in r]
    assert [row["step"] for row in steps] == list(range(1, 13))
    assert [row["epoch"] for row in epochs] == [1, 2, 3, 4]
    for name in ("rate", "factor", "gradient_norm", "images_per_second", "loading"):
        assert all(np.isfinite(row[name]) for row in steps)
    assert all(0 <= row["loading"] <= 1 for row in steps)
    assert {"train_accuracy", "accuracy", "validation_loss", "ema_accuracy"} <= set(epochs[0])
    assert set(steps[0]["update_ratio"]) == {"conv1", "layer1", "layer2", "layer3", "layer4", "new_head"}
    assert all(0 < ratio < 1 for ratio in steps[0]["update_ratio"].values())


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "adamw", "dropout": 0.3, "stochastic_depth": 0.2, "augmentation": "randaugment"},
        {"optimizer": "nesterov", "batch_norm": "update", "mixup": 0.2, "cutmix": 1.0, "average_from": 0.3},
        {
            "optimizer": "rmsprop",
            "schedule": "cyclic",
            "keep": 2,
            "class_balanced": True,
            "loader_workers": 1,
        },
    ],
    ids=["dropout", "statistics and mixup", "snapshots"],
)
@pytest.mark.parametrize("stop", [2, 4])
def test_a_run_that_is_cut_anywhere_ends_with_the_same_bits(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], stop: int
) -> None:
    whole, undisturbed, _ = train(made, tmp_path / "whole", epochs=3, **values)
    task, _ = task_in(tmp_path)

    class Cut(BaseException):
        pass

    def after(step: int, total: int, **named: Any) -> None:
        if step == stop + 1:
            raise Cut

    place = tmp_path / "cut"
    place.mkdir()
    wanted = settings(epochs=3, checkpoint_seconds=0, **values)
    model = classifier(dropout=wanted.dropout)
    prepare(model, wanted, len(made.train))
    monkeypatch.setattr(task, "progress", after)
    with pytest.raises(Cut):
        loop.finetune(model, made, wanted, 1e-3, place, task)
    again, resumed, ear = train(made, place, epochs=3, checkpoint_seconds=0, **values)
    assert f"goes on after step {stop} of 9" in ear.log
    assert equal(weights(undisturbed), weights(resumed))
    assert again.best == whole.best
    for variant in whole.best:
        expected = load_checkpoint(tmp_path / "whole" / f"{variant}.safetensors")
        found = load_checkpoint(place / f"{variant}.safetensors")
        assert expected is not None
        assert found is not None
        assert equal(expected, found)
    losses = [
        [r["loss"] for r in read_rows(p / "curves.jsonl") if "loss" in r] for p in (tmp_path / "whole", place)
    ]
    assert losses[0] == losses[1]


def test_a_finished_run_is_not_run_again(made: Material, tmp_path: Path) -> None:
    first, _, _ = train(made, tmp_path / "run")
    second, _, _ = train(made, tmp_path / "run")
    assert second.best == first.best
    assert second.step == first.step


def test_accumulated_gradients_are_those_of_the_batch(made: Material, tmp_path: Path) -> None:
    _, whole, _ = train(made, tmp_path / "a", optimizer="momentum", augmentation="none")
    _, parts, _ = train(made, tmp_path / "b", optimizer="momentum", augmentation="none", micro_batch=3)
    for expected, found in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


def test_it_stops_when_it_no_longer_helps(made: Material, tmp_path: Path) -> None:
    run, _, _ = train(made, tmp_path / "run", epochs=30, patience=2, rate=1e-12, ema=0)
    assert run.ended == "no better for 2 epochs"
    assert run.step < 30 * 3


def test_a_score_of_the_start_is_kept_if_nothing_beats_it(made: Material, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    model, wanted = classifier(), settings()
    prepare(model, wanted, 10)
    begun = weights(model)
    task, _ = task_in(place)
    run = loop.finetune(model, made, wanted, 1e-3, place, task, start={"probe": (1.0, -0.01, 0)})
    assert run.winner() == "probe"
    kept = load_checkpoint(place / "probe.safetensors")
    assert kept is not None
    assert equal(begun, kept)


class Poison:
    """Makes some forward passes give what is not finite."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: set[int], value: float = float("nan")) -> None:
        self.calls = -1
        forward = Classifier.forward

        def spoilt(model: Classifier, x: torch.Tensor) -> torch.Tensor:
            if not model.training:
                return forward(model, x)
            self.calls += 1
            return forward(model, x * value if self.calls in steps else x)

        monkeypatch.setattr(Classifier, "forward", spoilt)


@pytest.mark.parametrize("batch_norm", ["frozen", "update"])
def test_a_loss_that_is_not_finite_skips_the_step_and_names_the_images(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_norm: str
) -> None:
    Poison(monkeypatch, {2})
    run, model, ear = train(made, tmp_path / "run", batch_norm=batch_norm)
    assert run.bad_steps == 1
    assert run.rate_scale == 0.5
    said = next(line for line in ear.log if "not finite" in line)
    assert "step 3" in said
    assert ".png" in said
    assert all(torch.isfinite(tensor).all() for tensor in weights(model).values())
    rows = [row for row in read_rows(tmp_path / "run" / "curves.jsonl") if "rate" in row]
    assert rows[2]["loss"] is None
    assert rows[3]["rate"] == pytest.approx(0.5 * 1e-3 * rows[3]["factor"])


def test_a_gradient_that_is_not_finite_skips_the_step(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.nn.utils.clip_grad_norm_, []

    def spoilt(parameters: Any, *args: Any, **named: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            parameters[0].grad.fill_(float("inf"))
        return real(parameters, *args, **named)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spoilt)
    run, model, ear = train(made, tmp_path / "run")
    assert run.bad_steps == 1
    assert any("the gradient was not finite" in line for line in ear.log)
    assert all(torch.isfinite(tensor).all() for tensor in weights(model).values())


def test_a_rate_that_diverges_at_once_is_an_error(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, set(range(100)))
    with pytest.raises(FailedPrecondition, match="diverged at once") as refused:
        train(made, tmp_path / "run", epochs=3, batch_size=2)
    assert refused.value.reason == "TRAINING_DIVERGED"
    assert "learning rate" in refused.value.hint


def test_a_run_that_blows_up_late_loses_nothing(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, set(range(4, 100)))
    run, _, _ = train(made, tmp_path / "run", epochs=9)
    assert "had no finite loss" in run.ended
    best = load_checkpoint(tmp_path / "run" / f"{run.winner()}.safetensors")
    assert best is not None
    assert all(torch.isfinite(tensor).all() for tensor in best.values())


def test_out_of_memory_halves_the_batch_once_and_says_so(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Classifier.forward

    def small(model: Classifier, x: torch.Tensor) -> torch.Tensor:
        if model.training and len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, x)

    _, plain, _ = train(made, tmp_path / "plain", dropout=0.0, augmentation="none")
    monkeypatch.setattr(Classifier, "forward", small)
    run, model, ear = train(made, tmp_path / "run", dropout=0.0, augmentation="none")
    assert run.micro_batch == 4
    assert run.remedies == ["out of memory: gradients now accumulate over parts of 4 images"]
    assert sum("out of memory" in line for line in ear.log) == 1
    for expected, found in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.allclose(expected, found, atol=1e-3)


def test_out_of_memory_with_half_of_the_batch_is_an_error(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(model: Classifier, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Classifier, "forward", none)
    with pytest.raises(ResourceExhausted) as refused:
        train(made, tmp_path / "run")
    assert refused.value.reason == "OUT_OF_MEMORY"


def test_a_full_disk_keeps_the_last_good_checkpoint_and_training_goes_on(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run"
    replace, saves = os.replace, []

    def full(source: Path, target: Path) -> None:
        saves.append(target.name)
        if len(saves) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    run, _, ear = train(made, place, epochs=4)
    assert run.step == 12
    assert any("no room on the disk" in line for line in ear.log)
    kept = load_checkpoint(place / "last.safetensors")
    assert kept is not None
    assert kept["run"]["step"] < 12
    assert load_checkpoint(place / f"{run.winner()}.safetensors") is not None


def test_the_disk_that_checkpoints_take_is_bounded(made: Material, tmp_path: Path) -> None:
    train(
        made, tmp_path / "run", epochs=8, schedule="cyclic", schedule_options={"cycles": 6}, keep=2,
        checkpoint_seconds=0, average_from=0.2,
    )  # fmt: skip
    names = sorted(file.name for file in (tmp_path / "run").iterdir())
    assert {"last.safetensors", "plain.safetensors", "curves.jsonl"} <= set(names)
    assert sum(name.startswith("snapshot") for name in names) == 2
    assert len(names) <= 7
    assert not any(name.endswith(".part") for name in names)


def test_the_file_of_curves_is_json(made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Poison(monkeypatch, {1}, float("inf"))
    train(made, tmp_path / "run")
    for line in (tmp_path / "run" / "curves.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
