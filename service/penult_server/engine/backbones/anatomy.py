"""What a trunk is made of, found by running its shapes on torch's meta device: no weights, no memory."""

from __future__ import annotations

import collections
import dataclasses
import difflib
from collections.abc import Callable

import torch
from torch import nn

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.features import Pooling
from penult_server.engine.backbones.layers import Activation, pooling_unsupported, recognise
from penult_server.engine.backbones.trunk import Trunk

_BATCH = 2  # more than one, so that outputs without a batch dimension show
_NOT_A_STAGE = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_MAX_DEPTH = 2


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Facts that follow from the architecture alone.

    `activations` holds every module that runs, by its name within the model, in the order in which
    they finish. `layers` are the stage-level ones. `final` is the last activation before pooling,
    None where it is no single tensor; `final_module` is its module's name within the trunk.
    """

    dim: int
    parameter_count: int
    layers: tuple[str, ...]
    activations: dict[str, Activation]
    final: Activation | None
    final_module: str

    def activation(self, layer: str, pooling: Pooling) -> Activation:
        """The activation of a layer, or the last one before pooling for an empty name.

        Raises:
            InvalidArgument: LAYER_UNKNOWN with near matches, or POOLING_UNSUPPORTED.
        """
        if not layer:
            if self.final is None:
                raise pooling_unsupported(
                    layer, pooling, "it is not a single tensor in this architecture", "leave the pooling out"
                )
            return self.final
        if layer not in self.activations:
            near = difflib.get_close_matches(layer, self.activations, n=5) or list(self.layers[:20])
            raise InvalidArgument(
                "LAYER_UNKNOWN",
                f"no layer {layer[:80]!r} gives one vector an image here; near: {', '.join(near)}",
                field="options.layer",
                hint="the backbone's `layers` lists the stages",
                near_matches=", ".join(near),
            )
        return self.activations[layer]


def examine(make_trunk: Callable[[], Trunk], input_size: tuple[int, int]) -> Anatomy:
    """Runs a trunk on the meta device and writes down every output.

    Args:
        make_trunk: builds the trunk on the default device, weights of no matter.
        input_size: (height, width) in pixels.

    Raises:
        FailedPrecondition: BACKBONE_UNSUPPORTED, this architecture gives no single vector an image.
    """
    trunk = on_meta(make_trunk)
    square = input_size[0] == input_size[1]
    activations: dict[str, Activation] = {}
    final: list[Activation | None] = []

    def record(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if (activation := recognise(output, _BATCH, square, trunk)) is not None:
                activations[name] = activation

        return hook

    def record_final(module: nn.Module, args: object, output: object) -> None:
        final.append(recognise(output, _BATCH, square, trunk))

    for name, module in trunk.model.named_modules():
        if name:
            module.register_forward_hook(record(name))
    if trunk.final_map:
        trunk.get_submodule(trunk.final_map).register_forward_hook(record_final)
    with torch.no_grad():
        feature = trunk(torch.zeros(_BATCH, 3, *input_size, device="meta"))
    if feature.ndim != 2:
        raise FailedPrecondition(
            "BACKBONE_UNSUPPORTED",
            f"this architecture gives {tuple(feature.shape[1:])} numbers an image, no vector",
        )
    return Anatomy(
        dim=feature.shape[1],
        parameter_count=sum(p.numel() for p in trunk.parameters()),
        layers=_stages(trunk.model, activations),
        activations=activations,
        final=final[-1] if final else None,
        final_module=trunk.final_map,
    )


def on_meta(make_trunk: Callable[[], Trunk]) -> Trunk:
    """A trunk with shapes and no numbers."""
    try:
        with torch.device("meta"):
            return make_trunk()
    except NotImplementedError:
        # Some constructors compute with tensors (torchvision's RegNet); those are built for real.
        return make_trunk().to("meta")


def _stages(model: nn.Module, activations: dict[str, Activation]) -> tuple[str, ...]:
    """Direct children, the children of containers, and what timm calls feature levels; in forward order."""
    names = {level["module"] for level in _feature_info(model) if "module" in level}
    queue = collections.deque(model.named_children())
    while queue:
        name, module = queue.popleft()
        if isinstance(module, _NOT_A_STAGE):
            continue
        names.add(name)
        # Exact types: subclasses of Sequential are blocks, not lists of stages. torchvision's ViT
        # keeps its list one level deeper, in a module named encoder.
        if name == "encoder" or (type(module) in _CONTAINERS and name.count(".") < _MAX_DEPTH):
            queue.extend((f"{name}.{child}", inner) for child, inner in module.named_children())
    return tuple(name for name in activations if name in names)


def _feature_info(model: nn.Module) -> list[dict[str, object]]:
    info = getattr(model, "feature_info", [])
    return info if isinstance(info, list) else []
