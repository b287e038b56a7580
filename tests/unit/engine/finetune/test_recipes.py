"""What core asks of fine-tuning outside of a worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.engine.finetune.recipes import EnginePlots, EngineRecipes
from penult_server.engine.finetune.settings import FineTuneSettings

RECIPES = EngineRecipes()


def test_settings_come_back_complete_and_wrong_ones_are_refused() -> None:
    complete = RECIPES.validate({"epochs": 3})
    assert complete["epochs"] == 3
    assert set(complete) == set(FineTuneSettings.model_fields)
    assert json.loads(json.dumps(complete)) == complete
    with pytest.raises(InvalidArgument, match="epochs"):
        RECIPES.validate({"epoch": 3})


def test_network_and_dataset_are_checked_before_a_job_starts() -> None:
    RECIPES.check(RECIPES.validate({}), "test_resnet", 2)
    RECIPES.check(RECIPES.validate({"trainable": "classifier.3"}), "torchvision.vgg11", 2)
    with pytest.raises(InvalidArgument) as unknown:
        RECIPES.check(RECIPES.validate({"trainable": "layer7"}), "test_resnet", 2)
    assert unknown.value.reason == "LAYER_UNKNOWN"
    with pytest.raises(FailedPrecondition) as small:
        RECIPES.check(RECIPES.validate({"processes": 2, "batch_size": 8}), "test_resnet", 7)
    assert small.value.reason == "SET_TOO_SMALL"


def test_a_schedule_is_drawn_for_the_steps_that_there_will_be() -> None:
    drawn = RECIPES.draw(RECIPES.validate({"epochs": 3, "batch_size": 8, "learning_rate": 0.1}), 25)
    assert (len(drawn.factors), drawn.peak_rate) == (9, 0.1)
    assert drawn.png.startswith(b"\x89PNG")


def test_curves_are_drawn_while_they_are_being_written(tmp_path: Path) -> None:
    file = tmp_path / "curves.jsonl"
    assert EnginePlots().plot(file) is None
    rest = {"factor": 1.0, "rate": 0.1, "gradient_norm": 1.0, "images_per_second": 9.0}
    rows = [{"step": n + 1, "loss": 1 / (n + 1), **rest} for n in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"st')
    plot = EnginePlots().plot(file)
    assert plot is not None
    assert plot.png.startswith(b"\x89PNG")
    assert plot.findings == []
    epoch = {"step": 12, "epoch": 1.0, "train_accuracy": 1.0, "accuracy": 0.9, "train_loss": 0.1,
             "validation_loss": 0.2, "validation_count": 50.0}  # fmt: skip
    lines = file.read_text().splitlines()[:-1]
    file.write_text("\n".join([*lines, json.dumps(epoch)]) + "\n")
    again = EnginePlots().plot(file)
    assert again is not None
    assert again.findings
