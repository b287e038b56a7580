from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from penult_server.engine.finetune import evaluate
from penult_server.engine.finetune import probe as probing
from penult_server.engine.finetune.judge import score_of
from penult_server.engine.finetune.loop import finetune
from penult_server.engine.finetune.network import prepare
from penult_server.engine.finetune.probe import linear_probe
from penult_server.engine.finetune.run import Material
from penult_server.engine.finetune.statistics import adapt_statistics
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


def test_a_probe_is_fitted_to_what_training_sees(made: Material) -> None:
    """The weights are random, so that their statistics are none of these pictures."""

    def losses(adapted: bool) -> tuple[float, float]:
        model, wanted = classifier(), settings(batch_norm="update")
        prepare(model, wanted, len(made.train))
        if adapted:
            assert adapt_statistics(model, made, 12, lambda done: None)
        linear_probe(model, made, lambda done: None)
        pixels = np.stack([made.train.pictures.served(int(n)) for n in made.train.positions])
        x, targets = model.normalise(torch.from_numpy(pixels)), torch.from_numpy(made.train.targets)
        with torch.no_grad():
            served = functional.cross_entropy(model.eval()(x), targets)
            seen = functional.cross_entropy(model.train()(x), targets)
        return float(seen), float(served)

    seen, served = losses(adapted=True)
    assert seen < 1.2 * served + 0.05
    seen, served = losses(adapted=False)
    assert seen > 2 * served


def test_only_statistics_that_will_be_updated_are_adapted(made: Material) -> None:
    model = classifier()
    prepare(model, settings(batch_norm="update", trainable="last", last_stages=1), len(made.train))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    momenta = [m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert adapt_statistics(model, made, 8, lambda done: None)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all("layer4" in name and ("running" in name or "tracked" in name) for name in moved)
    assert momenta == [m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    prepare(model, settings(batch_norm="frozen"), len(made.train))
    assert not adapt_statistics(model, made, 8, lambda done: None)


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
