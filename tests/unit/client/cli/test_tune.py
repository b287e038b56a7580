from __future__ import annotations

import datetime
from typing import Any

import pytest

import penult
from penult.cli.tune import parse_space, show_tuning


def test_what_to_vary_is_read() -> None:
    assert parse_space(
        ["learning_rate=1e-5..1e-2:log", "layer_decay=0.6..1", "augmentation=none,crop",
         "linear_probe=true,false", "dropout=0.1"]
    ) == {
        "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        "layer_decay": {"low": 0.6, "high": 1.0},
        "augmentation": ["none", "crop"],
        "linear_probe": [True, False],
        "dropout": [0.1],
    }  # fmt: skip


@pytest.mark.parametrize("text", ["dropout", "dropout=", "=1..2", "dropout=0..x", "dropout=0..1:lin"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(penult.InvalidArgument, match="nothing to vary"):
        parse_space([text])


def test_trials_are_shown_best_first(capsys: Any) -> None:
    model = penult.Model(
        name="m", version=1, metrics={}, kind="fine_tuned", created=datetime.datetime.now(),
        labels=("a", "b"), multi_label=False, threshold=None, lineage=None, members=(),
        evidence=None, aliases=(), size_bytes=1,
    )  # fmt: skip
    trials = (
        penult.Trial(1, 1, {"learning_rate": 0.01}, "pruned", (0.5,), (0.7,), 0.5, 0.7, 3.2),
        penult.Trial(2, 1, {"learning_rate": 0.001}, "finished", (0.6, 0.9), (0.6, 0.3), 0.9, 0.3, 9.9),
        penult.Trial(3, 2, {"learning_rate": 1.0}, "failed", (), (), None, None, 1.0, "TRAINING_DIVERGED"),
    )
    show_tuning(penult.Tuning(model, trials, 2, "tpe", "median", (), 8, ("may be luck",), 14.1))
    said = capsys.readouterr().out
    places = [said.index(word) for word in ("0.9000", "0.5000", "TRAINING_DIVERGED", "may be luck", "m@1")]
    assert places == sorted(places)
    assert "0.001" in said
