"""The network that is trained: a backbone as it is served, with a head; which parts learn, how fast."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, cast

import torch
from timm.layers import DropPath
from timm.models import group_parameters
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torchvision.ops import StochasticDepth

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.finetune import SMALL_SET
from penult_server.engine.backbones.anatomy import on_meta
from penult_server.engine.backbones.architecture import Architecture
from penult_server.engine.backbones.network import Network
from penult_server.engine.finetune.settings import FineTuneSettings

_HEAD = "new_head"
_INITIAL_SPREAD = 0.01
_PARTS = ("all", "last", "head")


class Classifier(nn.Module):
    """Pictures in, logits out. The trunk's tensors are those of the backbone, name by name."""

    def __init__(self, network: Network, classes: int, dropout: float = 0.0) -> None:
        """`network` is taken over: its weights will change."""
        super().__init__()
        self.network = network.requires_grad_(True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(network.anatomy.dim, classes)
        fresh_head(self.head)
        self.frozen_statistics = False
        self.stages = _stages(network.trunk.model)
        """Name of each stage, from the input on, to the names of its parameters within the trunk's model."""

    @property
    def trunk(self) -> nn.Module:
        """The backbone's own module, whose state dict is what a backbone's weights are."""
        return self.network.trunk.model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised float (N, 3, H, W), see `normalise`, to float32 logits (N, classes)."""
        return self.head(self.dropout(self.features(x)))

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """uint8 (N, H, W, 3) to what `forward` takes."""
        return self.network.normalise(pictures)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised float (N, 3, H, W) to float32 features (N, dim)."""
        return self.network.trunk(x).float()

    def train(self, mode: bool = True) -> Classifier:
        """As torch's, but frozen modules stay in evaluation mode."""
        super().train(mode)
        if mode:
            for module in self.network.modules():
                own = list(module.parameters(recurse=False))
                frozen = bool(own) and not any(parameter.requires_grad for parameter in own)
                if frozen or (self.frozen_statistics and isinstance(module, _BatchNorm)):
                    module.eval()
            if not any(parameter.requires_grad for parameter in self.network.parameters()):
                self.network.eval()
        return self

    def stage_parameters(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that learn, by stage from the input on, the head last."""
        named = dict(self.trunk.named_parameters())
        found = {
            stage: [named[name] for name in names if named[name].requires_grad]
            for stage, names in self.stages.items()
        }
        found[_HEAD] = list(self.head.parameters())
        return {stage: parameters for stage, parameters in found.items() if parameters}


def fresh_head(head: nn.Linear) -> None:
    """Small random weights from torch's generator, so that every class starts equally likely."""
    nn.init.normal_(head.weight, std=_INITIAL_SPREAD)
    nn.init.zeros_(head.bias)


def without_regularisation(model: nn.Module) -> None:
    """Switches dropout and stochastic depth off, in training mode too."""
    for module in model.modules():
        if isinstance(module, _DropoutNd | StochasticDepth):
            module.p = 0.0
        elif isinstance(module, DropPath):
            module.drop_prob = 0.0


def prepare(model: Classifier, settings: FineTuneSettings, training_images: int) -> list[str]:
    """Freezes what is not to learn, and switches regularisation on. Says what could not be done.

    Raises:
        FailedPrecondition: BACKBONE_UNTRAINABLE, it has no weights that could learn.
        InvalidArgument: LAYER_UNKNOWN.
    """
    notes: list[str] = []
    names = list(model.stages)
    if settings.trainable != "head" and not names:
        raise untrainable("it has no parameters")
    learning = _learning(names, settings)
    wanted = {name for stage in learning for name in model.stages[stage]}
    for name, parameter in model.trunk.named_parameters():
        parameter.requires_grad_(name in wanted)
    model.frozen_statistics = settings.batch_norm == "frozen" or (
        settings.batch_norm == "auto" and training_images < SMALL_SET and settings.start == "pretrained"
    )
    if settings.stochastic_depth and not _set_stochastic_depth(model.trunk, settings.stochastic_depth):
        notes.append("this backbone has no residual blocks that could be skipped: no stochastic depth")
    return notes


def check_stage(architecture: Architecture, settings: FineTuneSettings) -> None:
    """Raises InvalidArgument LAYER_UNKNOWN where `trainable` names no stage of this architecture."""
    if settings.trainable not in _PARTS:
        _learning(list(_stages(on_meta(architecture.trunk).model)), settings)


def _learning(stages: list[str], settings: FineTuneSettings) -> list[str]:
    """The stages that learn. Raises InvalidArgument LAYER_UNKNOWN."""
    if settings.trainable in _PARTS:
        return {"all": stages, "last": stages[-settings.last_stages :], "head": []}[settings.trainable]
    if settings.trainable not in stages:
        near = difflib.get_close_matches(settings.trainable, [*_PARTS, *stages], n=5) or stages
        raise InvalidArgument(
            "LAYER_UNKNOWN",
            f"no stage {settings.trainable[:80]!r} in this backbone; near: {', '.join(near)}",
            field="trainable",
            hint=f"{', '.join(_PARTS)}, or one of its stages: {', '.join(stages)}",
            near_matches=", ".join(near),
        )
    return stages[stages.index(settings.trainable) :]


def untrainable(why: str) -> FailedPrecondition:
    """The refusal of a backbone whose weights cannot learn."""
    return FailedPrecondition(
        "BACKBONE_UNTRAINABLE",
        f"this backbone cannot be trained: {why}",
        hint="train the head alone (trainable='head'), or take another backbone",
    )


def parameter_groups(model: Classifier, settings: FineTuneSettings) -> list[dict[str, Any]]:
    """Parameter groups: each stage further from the head at `layer_decay` of the next one's rate.

    `lr_scale` is that share, as timm calls it. Norms, biases, and what the architecture names get no
    weight decay. Layer-wise rates are those of BEiT (Bao et al. 2021, arXiv:2106.08254), by stage.
    """
    exempt = {
        f"{name}" for name in cast(Callable[[], set[str]], getattr(model.trunk, "no_weight_decay", set))()
    }
    spared = {id(p) for name, p in model.trunk.named_parameters() if name in exempt}
    stages = model.stage_parameters()
    groups: list[dict[str, Any]] = []
    for distance, (stage, parameters) in enumerate(reversed(stages.items())):
        for decays in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1 and id(p) not in spared) is decays]
            if chosen:
                groups.append(
                    {
                        "params": chosen,
                        "weight_decay": settings.weight_decay if decays else 0.0,
                        "lr_scale": settings.layer_decay**distance,
                        "stage": stage,
                    }
                )
    return groups


def _stages(trunk: nn.Module) -> dict[str, list[str]]:
    """Timm's own grouping where there is one, else by the modules of the first or second level."""
    names = [name for name, _ in trunk.named_parameters()]
    if hasattr(trunk, "group_matcher"):
        grouped = group_parameters(trunk, trunk.group_matcher(coarse=True))  # type: ignore[operator]
        order = sorted(grouped)
        return {_title(grouped[key], key): list(grouped[key]) for key in order}
    deep = _deep_child(trunk)
    found: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        level = 2 if parts[0] == deep else 1
        found.setdefault(".".join(parts[:level]), []).append(name)
    return found


def _deep_child(trunk: nn.Module) -> str:
    """The child that holds most of the network, as `features` does in many of torchvision's; or ""."""
    total = sum(p.numel() for p in trunk.parameters())
    for name, child in trunk.named_children():
        if sum(p.numel() for p in child.parameters()) > 0.8 * total:
            return name
    return ""


def _title(names: list[str], number: Any) -> str:
    """`blocks.3` for the parameters of timm's fourth stage; the first part of the name for a stem."""
    match = re.match(r"((?:\w+\.)*?\w*\d+)\.", names[0]) or re.match(r"(\w+)", names[0])
    return match.group(1) if match else str(number)


def _set_stochastic_depth(trunk: nn.Module, rate: float) -> bool:
    """Rates rising linearly from 0 to `rate` with depth (Huang et al. 2016, arXiv:1603.09382)."""
    slots: list[Callable[[float], None]] = []
    for module in trunk.modules():
        if isinstance(module, StochasticDepth):
            slots.append(lambda p, module=module: setattr(module, "p", p))  # type: ignore[misc]
        slots += [
            lambda p, m=module, n=name: setattr(m, n, DropPath(p))  # type: ignore[misc]
            for name in ("drop_path", "drop_path1", "drop_path2")
            if hasattr(module, name)
        ]
    for number, put in enumerate(slots):
        put(rate * (number + 1) / len(slots))
    return bool(slots)
