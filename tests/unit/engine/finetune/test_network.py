from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
import torchvision
from timm.layers import DropPath
from torch import nn

from penult_server.core.errors import InvalidArgument
from penult_server.engine.backbones.timm_source import TimmArchitecture
from penult_server.engine.finetune.network import Classifier, check_stage, parameter_groups, prepare
from tests.finetune_lab import SIDE, classifier, network, settings

EVERYTHING = {"conv1", "layer1", "layer2", "layer3", "layer4", "new_head"}
NAMES = ("test_resnet", "test_efficientnet", "test_convnext")


def prepared(name: str = "test_resnet", images: int = 100, **values: Any) -> Classifier:
    made = classifier(name=name)
    prepare(made, settings(**values), images)
    return made.train()


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_the_trunk_belongs_to_one_stage(name: str) -> None:
    made = classifier(name=name)
    staged = list(chain(*made.stages.values()))
    assert sorted(staged) == sorted(n for n, _ in made.trunk.named_parameters())
    assert len(made.stages) >= 3


def test_features_are_those_that_are_served() -> None:
    made, served = classifier(), network()
    pixels = torch.randint(0, 255, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    with torch.no_grad():
        made.eval()
        ours = made.features(made.normalise(pixels))
        assert torch.allclose(ours, served(pixels), atol=1e-5)


def test_the_trunk_keeps_the_names_of_the_backbones_tensors() -> None:
    assert set(classifier().trunk.state_dict()) == set(network().trunk.model.state_dict())


@pytest.mark.parametrize(
    ("values", "learning"),
    [
        ({}, EVERYTHING),
        ({"trainable": "last", "last_stages": 1}, {"layer4", "new_head"}),
        ({"trainable": "last", "last_stages": 99}, EVERYTHING),
        ({"trainable": "head"}, {"new_head"}),
        ({"trainable": "layer3"}, {"layer3", "layer4", "new_head"}),
    ],
)  # fmt: skip
def test_only_what_is_to_learn_gets_gradients(values: dict[str, Any], learning: set[str]) -> None:
    made = prepared(**values)
    assert set(made.stage_parameters()) == learning
    made(torch.randn(4, 3, SIDE, SIDE)).sum().backward()
    moved = {id(p) for p in made.parameters() if p.grad is not None}
    wanted = {id(p) for stage in made.stage_parameters().values() for p in stage}
    assert moved == wanted


def test_an_unknown_stage_is_refused_with_near_ones() -> None:
    architecture = TimmArchitecture("test_resnet")
    for known in ("all", "last", "head", "layer2"):
        check_stage(architecture, settings(trainable=known))
    with pytest.raises(InvalidArgument) as refused:
        check_stage(architecture, settings(trainable="layer9"))
    assert (refused.value.reason, refused.value.field) == ("LAYER_UNKNOWN", "trainable")
    assert "layer4" in refused.value.message
    assert "conv1" in refused.value.hint


@pytest.mark.parametrize(
    ("batch_norm", "images", "updates"),
    [("auto", 100, False), ("auto", 5000, True), ("frozen", 5000, False), ("update", 100, True)],
)
def test_batch_norm_statistics_stay_or_move(batch_norm: str, images: int, updates: bool) -> None:
    made = prepared(images=images, batch_norm=batch_norm)
    before = [b.clone() for b in made.buffers()]
    made(torch.randn(4, 3, SIDE, SIDE))
    moved = any(not torch.equal(a, b) for a, b in zip(before, made.buffers(), strict=True))
    assert moved is updates


def test_a_frozen_stage_is_in_evaluation_mode() -> None:
    made = prepared(images=5000, trainable="last", last_stages=1)
    trunk: Any = made.trunk
    assert not trunk.layer1[0].bn1.training
    assert trunk.layer4[0].bn1.training


def test_rates_decay_towards_the_input_and_norms_have_no_weight_decay() -> None:
    wanted = settings(layer_decay=0.5, weight_decay=0.1)
    made = prepared()
    groups = parameter_groups(made, wanted)
    scales = {group["stage"]: group["lr_scale"] for group in groups}
    assert scales == {
        "new_head": 1.0, "layer4": 0.5, "layer3": 0.25, "layer2": 0.125, "layer1": 0.0625, "conv1": 0.03125,
    }  # fmt: skip
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in made.parameters())


def test_what_an_architecture_exempts_gets_no_weight_decay() -> None:
    made = classifier()
    exempt = next(name for name, p in made.trunk.named_parameters() if p.ndim > 1)
    made.trunk.no_weight_decay = lambda: {exempt}  # type: ignore[assignment]
    spared = dict(made.trunk.named_parameters())[exempt]
    groups = parameter_groups(made, settings(weight_decay=0.1))
    found = [g["weight_decay"] for g in groups if any(p is spared for p in g["params"])]
    assert found == [0.0]


@pytest.mark.parametrize("name", NAMES)
def test_stochastic_depth_rises_with_depth(name: str) -> None:
    made = prepared(name, stochastic_depth=0.4)
    rates = [m.drop_prob for m in made.modules() if isinstance(m, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.4)
    made(torch.randn(2, 3, SIDE, SIDE))


def test_stochastic_depth_of_torchvision_and_of_what_has_none() -> None:
    from penult_server.engine.finetune.network import _set_stochastic_depth

    net = torchvision.models.efficientnet_b0()
    assert _set_stochastic_depth(net, 0.3)
    assert max(m.p for m in net.modules() if isinstance(m, torchvision.ops.StochasticDepth)) == pytest.approx(
        0.3
    )
    made = classifier()
    made.network.trunk.model = nn.Sequential(nn.Linear(2, 2))
    notes = prepare(made, settings(stochastic_depth=0.2, trainable="head"), 10)
    assert "no stochastic depth" in notes[0]
