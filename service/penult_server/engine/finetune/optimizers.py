"""Optimisers by name: the usual ones with their usual rates, and timm's others."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from torch import nn

from penult_server.core.errors import InvalidArgument

RATES: Mapping[str, float] = {
    "sgd": 0.01,
    "momentum": 0.003,
    "nesterov": 0.003,
    "adagrad": 0.003,
    "rmsprop": 0.0003,
    "adam": 0.0003,
    "adamw": 0.0003,
}
"""Peak rates for 32 images a step when pretrained weights are trained on."""
_OTHER_RATE = 0.0003
_PLAIN = {"sgd": {"opt": "momentum", "momentum": 0.0}, "momentum": {"opt": "momentum", "momentum": 0.9}}
_SECOND_ORDER = ("adahessian",)


def default_rate(name: str) -> float:
    """The usual peak rate for 32 images a step."""
    return RATES.get(name, _OTHER_RATE)


def make_optimizer(
    name: str, groups: Iterable[dict[str, Any]], rate: float, options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimiser over parameter groups, which bring their own weight decay.

    Raises:
        InvalidArgument: OPTIMIZER_UNKNOWN with near matches, OPTIMIZER_UNSUPPORTED or BAD_OPTIMIZER_OPTION.
    """
    known = sorted({*RATES, *map(str, list_optimizers())})
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise InvalidArgument(
            "OPTIMIZER_UNKNOWN",
            f"no optimiser {name[:80]!r}" + (f"; near: {', '.join(near)}" if near else ""),
            field="optimizer",
            hint=f"{', '.join(RATES)}, or a name of timm's",
        )
    if name in _SECOND_ORDER:
        raise InvalidArgument(
            "OPTIMIZER_UNSUPPORTED",
            f"{name} needs second derivatives, which this loop does not compute",
            field="optimizer",
            hint="adamw",
        )
    arguments = {"opt": name, **_PLAIN.get(name, {}), **options}
    try:
        return create_optimizer_v2(list(groups), lr=rate, **arguments)
    except (ImportError, RuntimeError, AssertionError) as error:
        raise InvalidArgument(
            "OPTIMIZER_UNSUPPORTED",
            f"{name} cannot be used on this server: {str(error) or 'its package is not installed'}",
            field="optimizer",
            hint="adamw",
        ) from error
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            "BAD_OPTIMIZER_OPTION",
            f"{dict(options)} are no options of {name}: {error}",
            field="optimizer_options",
            hint="leave them out for the usual values",
        ) from error


def check_optimizer(name: str, options: Mapping[str, Any]) -> None:
    """Makes one for a single weight. Raises what `make_optimizer` raises."""
    weight = nn.Parameter(torch.zeros(2, 2))
    make_optimizer(name, [{"params": [weight], "weight_decay": 0.0}], 0.1, options)
