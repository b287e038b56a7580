from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from penult_server.core.errors import InvalidArgument
from penult_server.engine.finetune.optimizers import RATES, make_optimizer
from penult_server.engine.finetune.settings import PROBE_SHARE, FineTuneSettings, parse_settings


def test_the_defaults_are_valid_and_described() -> None:
    assert parse_settings({}) == FineTuneSettings()
    assert all(field.description for field in FineTuneSettings.model_fields.values())


@pytest.mark.parametrize(
    ("values", "reason", "said"),
    [
        ({"epoch": 3}, "SETTING_UNKNOWN", "near: epochs"),
        ({"epochs": 0}, "BAD_SETTING", "epochs"),
        ({"learning_rate": -1.0}, "BAD_SETTING", "learning_rate"),
        ({"learning_rate": float("nan")}, "BAD_SETTING", "learning_rate"),
        ({"mixup": 0.2, "batch_size": 7}, "BAD_SETTING", "even"),
        ({"processes": 3, "batch_size": 32}, "BAD_SETTING", "evenly"),
        ({"optimizer": "adamq"}, "OPTIMIZER_UNKNOWN", "near: adam"),
        ({"optimizer": "adahessian"}, "OPTIMIZER_UNSUPPORTED", "second derivatives"),
        ({"optimizer_options": {"beta": 1}}, "BAD_OPTIMIZER_OPTION", "beta"),
        ({"schedule": "cosin"}, "SCHEDULE_UNKNOWN", "near: cosine"),
        ({"schedule_options": {"drop": 1}}, "BAD_SCHEDULE_OPTION", "drop"),
    ],
)
def test_what_is_wrong_is_named_before_any_work(values: dict[str, Any], reason: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as refused:
        parse_settings(values)
    assert refused.value.reason == reason
    assert refused.value.field
    assert refused.value.hint


def test_the_usual_rate_grows_with_the_batch() -> None:
    assert FineTuneSettings(batch_size=64, linear_probe=False).usual_rate() == pytest.approx(
        2 * RATES["adamw"]
    )


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ({}, PROBE_SHARE),
        ({"trainable": "last"}, PROBE_SHARE),
        ({"linear_probe": False}, 1.0),
        ({"start": "random"}, 1.0),
        ({"trainable": "head"}, 1.0),
    ],
)
def test_the_usual_rate_is_much_lower_under_a_head_that_is_right_already(
    values: dict[str, Any], share: float
) -> None:
    made = FineTuneSettings(**values)
    assert made.known_rate() == made.usual_rate() == pytest.approx(share * RATES["adamw"])


@pytest.mark.parametrize("name", [*RATES, "lamb", "lion", "nadamw", "muon", "adafactor"])
def test_an_optimiser_makes_the_loss_fall(name: str) -> None:
    torch.manual_seed(0)
    x, model = torch.randn(64, 4), nn.Linear(4, 2)
    target = x @ torch.randn(4, 2)
    groups = [{"params": [model.weight], "weight_decay": 0.01}, {"params": [model.bias], "weight_decay": 0.0}]
    optimizer = make_optimizer(name, groups, 0.01, {})
    losses = []
    for _ in range(60):
        loss = (model(x) - target).square().mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_sgd_has_no_momentum_and_the_others_have() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    momentum = {
        name: make_optimizer(name, [{"params": [weight], "weight_decay": 0.0}], 0.1, {}).defaults["momentum"]
        for name in ("sgd", "momentum", "nesterov")
    }
    assert momentum == {"sgd": 0.0, "momentum": 0.9, "nesterov": 0.9}
