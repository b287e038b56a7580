from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.finetune.network import Classifier, prepare
from penult_server.engine.finetune.preflight import preflight
from penult_server.engine.finetune.run import Material
from tests.finetune_lab import Ear, classifier, material, settings, task_in


@pytest.fixture
def made(tmp_path: Path) -> Material:
    return material(tmp_path / "data")


def checked(
    made: Material, directory: Path, model: Classifier | None = None, **values: Any
) -> tuple[Any, Ear]:
    wanted = settings(**values)
    model = model or classifier()
    prepare(model, wanted, len(made.train))
    task, ear = task_in(directory)
    return preflight(model, made, wanted, task), ear


def test_a_good_start_passes_and_is_reported(made: Material, tmp_path: Path) -> None:
    model = classifier()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found, ear = checked(made, tmp_path, model, batch_norm="update")
    assert found.expected_loss == pytest.approx(math.log(3))
    assert found.initial_loss == pytest.approx(math.log(3), rel=0.25)
    assert found.learning_steps < 120
    assert found.proposed_rate is not None
    assert 1e-6 < found.proposed_rate < 1
    assert [line.split()[0] for line in ear.log] == ["initial", "2", "the"]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_features_out_of_scale_stop_it(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Classifier.features
    monkeypatch.setattr(Classifier, "features", lambda model, x: 1e5 * features(model, x))
    with pytest.raises(FailedPrecondition, match="out of scale") as refused:
        checked(made, tmp_path)
    assert refused.value.reason == "INITIAL_LOSS_OFF"


def test_a_backbone_that_no_gradient_reaches_cannot_be_trained(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Classifier.features
    monkeypatch.setattr(Classifier, "features", lambda model, x: features(model, x).detach())
    with pytest.raises(FailedPrecondition) as refused:
        checked(made, tmp_path)
    assert refused.value.reason == "BACKBONE_UNTRAINABLE"
    assert "head" in refused.value.hint


def test_a_backbone_without_weights_cannot_be_trained(made: Material, tmp_path: Path) -> None:
    model = classifier()
    model.stages = {}
    with pytest.raises(FailedPrecondition) as refused:
        checked(made, tmp_path, model)
    assert refused.value.reason == "BACKBONE_UNTRAINABLE"


def test_what_cannot_be_learnt_by_heart_stops_it(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every picture looks the same to this network."""
    features = Classifier.features
    monkeypatch.setattr(Classifier, "features", lambda model, x: features(model, x * 0 + 1))
    with pytest.raises(FailedPrecondition) as refused:
        checked(made, tmp_path, batch_norm="frozen")
    assert refused.value.reason == "CANNOT_LEARN"
    assert "%" in refused.value.message


def test_no_rate_stops_it_only_where_one_is_asked_for(
    made: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penult_server.engine.finetune import preflight as module

    monkeypatch.setattr(module, "range_test", lambda *given: ([1e-6, 1e-5], [1.0, 1.0]))
    found, ear = checked(made, tmp_path, batch_norm="update")
    assert found.proposed_rate is None
    assert "proposes no learning rate" in ear.log[-1]
    with pytest.raises(FailedPrecondition) as refused:
        checked(made, tmp_path, batch_norm="update", learning_rate="proposed")
    assert refused.value.reason == "NO_RATE_FOUND"


def test_the_head_alone_needs_no_gradient_in_the_trunk(made: Material, tmp_path: Path) -> None:
    found, _ = checked(made, tmp_path, trainable="head", batch_norm="update")
    assert found.initial_loss > 0
