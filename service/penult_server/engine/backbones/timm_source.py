"""Backbones of timm: any name that `timm.create_model` takes, weights from its hub or the local cache."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data.config import resolve_data_config
from timm.models import get_deprecated_models, get_pretrained_cfg, is_model, list_pretrained
from torch import nn

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.core.errors import FailedPrecondition
from penult_server.core.preprocess import Preprocess, resize_from_crop_pct
from penult_server.engine.backbones.checkpoint import read_tensors
from penult_server.engine.backbones.hub import fetch_repository, fetch_url
from penult_server.engine.backbones.source import Origin
from penult_server.engine.backbones.trunk import Trunk


class TimmTrunk(Trunk):
    """timm's own definition of the penultimate activation: `pre_logits`."""

    final_map = "features"

    def __init__(self, model: nn.Module) -> None:
        """Raises FailedPrecondition BACKBONE_UNSUPPORTED for models that cannot classify."""
        if not hasattr(model, "get_classifier") or not hasattr(model, "forward_head"):
            raise FailedPrecondition(
                "BACKBONE_UNSUPPORTED",
                f"{type(model).__name__} is no classification model: it has no feature",
            )
        super().__init__(model, _classifiers(model))
        self.features = nn.Identity()
        self.prefix_tokens = getattr(model, "num_prefix_tokens", 0)
        self.grid_tokens = getattr(getattr(model, "patch_embed", None), "num_patches", None)
        self.class_token = isinstance(getattr(model, "cls_token", None), torch.Tensor)
        self.pools_class_token = getattr(model, "global_pool", "") == "token"
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See Trunk."""
        model: Any = self.model
        return model.forward_head(self.features(model.forward_features(x)), pre_logits=True)

    def translations(self, tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """As they are, then through timm's converter of this family from its original publication."""
        readings = [dict(tensors)]
        convert = getattr(sys.modules[type(self.model).__module__], "checkpoint_filter_fn", None)
        if convert is not None:
            try:
                readings.append(dict(convert(dict(tensors), self.model)))
            except Exception:  # written for one publication, it fails in any way on others
                return readings
        return readings


@dataclass(frozen=True)
class TimmArchitecture:
    """`key` is a timm name, with a tag or without; the tag decides the preprocessing."""

    key: str

    @property
    def name(self) -> str:
        """See Architecture."""
        return self.key.partition(".")[0]

    @property
    def preprocess(self) -> Preprocess:
        """What `timm.data.resolve_data_config` says."""
        config = resolve_data_config(pretrained_cfg=_pretrained_cfg(self.key).to_dict())
        input_size = (int(config["input_size"][1]), int(config["input_size"][2]))
        return Preprocess(
            input_size=input_size,
            resize=resize_from_crop_pct(input_size, config["crop_pct"]),
            crop_mode=config["crop_mode"],
            interpolation=config["interpolation"],
            mean=tuple(map(float, config["mean"])),
            std=tuple(map(float, config["std"])),
        )

    def trunk(self) -> Trunk:
        """See Architecture."""
        try:
            return TimmTrunk(timm.create_model(self.key))
        except NotImplementedError as error:
            if "meta" in str(error):
                raise  # the caller builds it for real then
            raise FailedPrecondition(
                "BACKBONE_UNSUPPORTED", f"timm cannot build {self.key!r}: {error}"
            ) from error


def timm_architecture(name: str) -> TimmArchitecture | None:
    """The architecture of a timm name, with a tag or without, maybe a deprecated one; or None."""
    current = get_deprecated_models().get(name, name) or ""
    return TimmArchitecture(current) if _pretrained_cfg(current) is not None else None


class TimmSource:
    """Weights that timm's authors publish."""

    def __init__(self, allow_download: bool) -> None:
        """`allow_download`: False uses the local cache only."""
        self._allow_download = allow_download

    def summaries(self) -> Iterable[BackboneSummary]:
        """Every name with a tag. A name without one means timm's default tag."""
        return _summaries()

    def find(self, name: str) -> Origin | None:
        """See Source."""
        architecture = timm_architecture(name)
        if architecture is None:
            return None
        config = _pretrained_cfg(architecture.key)
        if not (config.hf_hub_id or config.url):
            return None
        return Origin(
            BackboneSource.TIMM,
            architecture,
            licence=config.license or "unknown",
            load=lambda: self._load(architecture.key),
        )

    def _load(self, key: str) -> Trunk:
        config = _pretrained_cfg(key)
        if config.hf_hub_id:
            path = fetch_repository(config.hf_hub_id, key, self._allow_download)
        else:
            path = fetch_url(config.url, key, self._allow_download)
        # timm's loader converts and checks each publication as its authors meant, but it does not
        # tell damaged bytes from tensors that do not fit: so the file is read here first.
        read_tensors(path)
        overlay = {"file": str(path), "custom_load": False}
        try:
            return TimmTrunk(timm.create_model(key, pretrained=True, pretrained_cfg_overlay=overlay))
        except RuntimeError as error:
            raise FailedPrecondition(
                "WEIGHTS_MISFIT",
                f"the hub's weights of {key!r} do not fit this version of timm: {str(error)[:500]}",
                hint="upgrade timm on the server",
            ) from error


@functools.lru_cache(maxsize=4096)
def _pretrained_cfg(key: str) -> Any:
    try:
        return get_pretrained_cfg(key) if is_model(key) else None
    except RuntimeError:  # a tag that the architecture does not have
        return None


@functools.lru_cache(maxsize=1)
def _summaries() -> tuple[BackboneSummary, ...]:
    return tuple(
        BackboneSummary(name, name.partition(".")[0], BackboneSource.TIMM) for name in list_pretrained()
    )


def _classifiers(model: Any) -> tuple[str, ...]:
    """Names of the modules after pre_logits; several in distilled and multi-head models."""
    found = model.get_classifier()
    wanted = {id(module) for module in (found if isinstance(found, (tuple, list)) else (found,))}
    names: list[str] = []
    for name, module in model.named_modules():
        if id(module) not in wanted:
            continue
        if "pre_logits" in inspect.signature(module.forward).parameters:
            # A whole head with its pooling (SAM's ViT, Sequencer): only its last layer classifies.
            names += [f"{name}.{child}" for child, _ in module.named_children() if child == "fc"]
        else:
            names.append(name)
    return tuple(names)
