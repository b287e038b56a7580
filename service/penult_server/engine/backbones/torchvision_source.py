"""Backbones of torchvision: its classification models, weights from its site or the local cache."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision import models

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.core.errors import FailedPrecondition
from penult_server.core.preprocess import Preprocess
from penult_server.engine.backbones.checkpoint import read_tensors
from penult_server.engine.backbones.hub import fetch_url
from penult_server.engine.backbones.source import Origin
from penult_server.engine.backbones.trunk import Trunk
from penult_server.engine.backbones.weights import fit

PREFIX = "torchvision."
# torchvision's own licence; weights under another one say so in their metadata.
_LICENCE = "bsd-3-clause"
# Where the families keep the last activation before their pooling, the first that is there.
_FINAL_MAPS = (
    "trunk_output", "conv5", "layer4", "Mixed_7c", "inception5b", "norm",
    "encoder", "features", "layers", "blocks",
)  # fmt: skip
# Published DenseNets name their tensors as an early torch did.
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


class TorchvisionTrunk(Trunk):
    """The input of the last linear layer; for SqueezeNet, which ends in a convolution, its pooled input."""

    def __init__(self, model: nn.Module) -> None:
        """`model` is one of torchvision's classification models."""
        super().__init__(model, (_classifier(model),), ignored=("AuxLogits.", "aux1.", "aux2."))
        self.final_map = _final_map(model)
        self.class_token = self.pools_class_token = hasattr(model, "class_token")
        self.prefix_tokens = int(self.class_token)
        self.channels_last = isinstance(model, models.SwinTransformer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See Trunk."""
        return self.model(x).flatten(1)

    def translations(self, tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """As they are, then with the old names of DenseNet brought up to date."""
        return [dict(tensors), {_OLD_DENSENET.sub(r"\1\2", name): t for name, t in tensors.items()}]


@dataclass(frozen=True)
class TorchvisionArchitecture:
    """`model` is torchvision's name, `tag` the lower-case name of one of its weights."""

    model: str
    tag: str

    @property
    def name(self) -> str:
        """See Architecture."""
        return PREFIX + self.model

    @property
    def key(self) -> str:
        """See Architecture."""
        return f"{self.name}.{self.tag}"

    @property
    def weights(self) -> Any:
        """The enum member: address, transforms and metadata."""
        return _weights(self.model)[self.tag]

    @property
    def preprocess(self) -> Preprocess:
        """What the weights' own `transforms()` do."""
        preset = self.weights.transforms()
        crop, resize = preset.crop_size[0], preset.resize_size[0]
        return Preprocess(
            input_size=(crop, crop),
            resize=(resize, resize),
            crop_mode="center",
            interpolation=preset.interpolation.value,
            mean=tuple(map(float, preset.mean)),
            std=tuple(map(float, preset.std)),
        )

    def trunk(self) -> Trunk:
        """See Architecture."""
        options: dict[str, Any] = {}
        if self.model in ("googlenet", "inception_v3"):
            # As torchvision builds them for published weights: those expect inputs scaled once more.
            options = {"aux_logits": False, "init_weights": False, "transform_input": True}
        elif self.model.startswith("vit_"):
            options = {"image_size": self.weights.meta["min_size"][0]}
        return TorchvisionTrunk(models.get_model(self.model, weights=None, **options))


def torchvision_architecture(name: str) -> TorchvisionArchitecture | None:
    """The architecture of `[torchvision.]<name>[.<weights>]`, by default its best weights; or None."""
    model, _, tag = name.removeprefix(PREFIX).partition(".")
    if model not in _names():
        return None
    weights = _weights(model)
    tag = tag.lower() or next(iter(weights))
    return TorchvisionArchitecture(model, tag) if tag in weights else None


class TorchvisionSource:
    """Weights that torchvision's authors publish."""

    def __init__(self, allow_download: bool) -> None:
        """`allow_download`: False uses the local cache only."""
        self._allow_download = allow_download

    def summaries(self) -> Iterable[BackboneSummary]:
        """Every model with each of its weights."""
        return _summaries()

    def find(self, name: str) -> Origin | None:
        """See Source."""
        architecture = torchvision_architecture(name)
        if architecture is None:
            return None
        return Origin(
            BackboneSource.TORCHVISION,
            architecture,
            licence=architecture.weights.meta.get("license", _LICENCE),
            load=lambda: self._load(architecture),
        )

    def _load(self, architecture: TorchvisionArchitecture) -> Trunk:
        name = f"{architecture.name}.{architecture.tag}"
        tensors = read_tensors(fetch_url(architecture.weights.url, name, self._allow_download))
        trunk = architecture.trunk()
        fit(trunk, tensors, f"the published file of {name}")
        return trunk


@functools.lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(models.list_models(module=models))


@functools.lru_cache(maxsize=256)
def _weights(model: str) -> dict[str, Any]:
    """Weights by lower-case name, the default first."""
    enum = models.get_model_weights(model)
    return {w.name.lower(): w for w in sorted(enum, key=lambda w: w is not enum.DEFAULT)}


@functools.lru_cache(maxsize=1)
def _summaries() -> tuple[BackboneSummary, ...]:
    return tuple(
        BackboneSummary(f"{PREFIX}{model}.{tag}", PREFIX + model, BackboneSource.TORCHVISION)
        for model in sorted(_names())
        for tag in _weights(model)
    )


def _final_map(model: nn.Module) -> str:
    name = next((name for name in _FINAL_MAPS if hasattr(model, name)), "")
    if not name:
        return ""
    module = model.get_submodule(name)
    # MaxViT runs its list of blocks one by one; the list itself puts nothing out.
    return f"model.{name}.{len(module) - 1}" if isinstance(module, nn.ModuleList) else f"model.{name}"


def _classifier(model: nn.Module) -> str:
    if isinstance(model, models.SqueezeNet):
        return "classifier.1"
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise FailedPrecondition(
            "BACKBONE_UNSUPPORTED", f"{type(model).__name__} does not end in a linear layer"
        )
    return linear[-1]
