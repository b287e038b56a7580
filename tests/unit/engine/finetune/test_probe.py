from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from penult_server.engine.finetune import evaluate
from penult_server.engine.finetune import probe as probing
from penult_server.engine.finetune.judge import score_of
from penult_server.engine.finetune.loop import finetune
from penult_server.engine.finetune.network import prepare
from penult_server.engine.finetune.probe import linear_probe
from penult_server.engine.finetune.run import Material
from tests.finetune_lab import classifier, material, settings, stripes, task_in


@pytest.fixture
def made(tmp_path: Path) -> Material:
    return material(tmp_path / "data", stripes(train=12, validation=10))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_network_answers_as_the_probe_did(tmp_path: Path, classes: int) -> None:
    made = material(tmp_path / "data", stripes(classes, train=12, validation=10))
    model = classifier(classes)
    found = linear_probe(model, made, lambda done: None)
    now = score_of(model, made.validation, made, settings())
    assert now.accuracy == found.accuracy > 1 / classes
    assert now.loss == pytest.approx(found.loss, rel=1e-4)


def test_training_at_a_rate_of_nothing_leaves_the_probe_as_it_was(tmp_path: Path, made: Material) -> None:
    model, wanted = classifier(), settings(epochs=1, batch_norm="frozen")
    prepare(model, wanted, len(made.train))
    found = linear_probe(model, made, lambda done: None)
    task, _ = task_in(tmp_path)
    finetune(model, made, wanted, 1e-12, tmp_path, task)
    now = score_of(model, made.validation, made, wanted)
    assert now.accuracy == found.accuracy
    assert now.loss == pytest.approx(found.loss, rel=1e-4)


def test_a_feature_that_hardly_ever_moves_gets_no_huge_weight(
    made: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = evaluate.outputs

    def with_a_sleeper(*arguments: object, **more: object) -> np.ndarray:
        """One more feature, asleep but for one training picture, in which it is barely awake."""
        features = plain(*arguments, **more)  # type: ignore[arg-type]
        features /= features.std()
        features[:, 0] = 0.0
        features[0, 0] = 1e-3
        return features

    monkeypatch.setattr(probing, "outputs", with_a_sleeper)
    model = classifier()
    linear_probe(model, made, lambda done: None)
    weights = model.head.weight.detach().abs()
    assert torch.isfinite(weights).all()
    assert weights[:, 0].max() < weights[:, 1:].max()
