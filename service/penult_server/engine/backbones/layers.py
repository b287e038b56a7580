"""Activations of any layer as one vector: layouts and pooling."""

from __future__ import annotations

import dataclasses
import enum

import torch

from penult_server.core.errors import InvalidArgument
from penult_server.core.features import Pooling
from penult_server.engine.backbones.trunk import Trunk


class Layout(enum.Enum):
    """How the positions and channels of an activation lie in memory."""

    VECTOR = "(N, C)"
    TOKENS = "(N, L, C)"
    CHANNELS_FIRST = "(N, C, H, W)"
    CHANNELS_LAST = "(N, H, W, C)"


@dataclasses.dataclass(frozen=True, slots=True)
class Activation:
    """What a layer puts out. `prefix` counts the tokens before the grid."""

    layout: Layout
    channels: int
    prefix: int = 0
    class_token: bool = False
    pools_class_token: bool = False

    def resolve(self, layer: str, pooling: Pooling) -> Pooling:
        """The pooling that "default" stands for here.

        Raises:
            InvalidArgument: POOLING_UNSUPPORTED, this activation has no class token or nothing to pool.
        """
        if pooling == "token" and not self.class_token:
            raise pooling_unsupported(layer, pooling, "it has no class token", "use avg, max or avg_max")
        if self.layout is Layout.VECTOR:
            if pooling not in ("default", "avg"):
                raise pooling_unsupported(layer, pooling, "it is one vector already", "leave the pooling out")
            return "default"
        if pooling == "default":
            return "token" if self.pools_class_token else "avg"
        return pooling

    def dim(self, layer: str, pooling: Pooling) -> int:
        """Length of the pooled vector. Raises what `resolve` raises."""
        return self.channels * (2 if self.resolve(layer, pooling) == "avg_max" else 1)

    def pool(self, x: torch.Tensor, pooling: Pooling) -> torch.Tensor:
        """float32 (N, channels), or twice the channels for "avg_max". `pooling` is a resolved one."""
        if self.layout is Layout.VECTOR:
            return x.float()
        if pooling == "token":
            return x[:, 0].float()
        if self.layout is Layout.TOKENS:
            positions = x[:, self.prefix :]
        elif self.layout is Layout.CHANNELS_LAST:
            positions = x.flatten(1, 2)
        else:
            positions = x.flatten(2).transpose(1, 2)
        positions = positions.float()
        if pooling == "avg":
            return positions.mean(1)
        if pooling == "max":
            return positions.amax(1)
        return torch.cat((positions.mean(1), positions.amax(1)), 1)


def recognise(output: object, batch: int, square_input: bool, trunk: Trunk) -> Activation | None:
    """What kind of activation a module's output is, or None where it cannot become one vector an image."""
    x = first_tensor(output)
    if x is None or x.shape[0] != batch or not x.is_floating_point():
        return None
    shape = tuple(x.shape[1:])
    if len(shape) == 1:
        return Activation(Layout.VECTOR, shape[0])
    if len(shape) == 2:
        return _tokens(shape[0], shape[1], trunk)
    if len(shape) == 3:
        channels_last = trunk.channels_last
        if square_input and (shape[0] == shape[1]) != (shape[1] == shape[2]):
            channels_last = shape[0] == shape[1]
        return (
            Activation(Layout.CHANNELS_LAST, shape[2])
            if channels_last
            else Activation(Layout.CHANNELS_FIRST, shape[0])
        )
    return None


def first_tensor(output: object) -> torch.Tensor | None:
    """The output itself, or the first part of a tuple such as (map, size)."""
    if isinstance(output, tuple) and output:
        output = output[0]
    return output if isinstance(output, torch.Tensor) and output.ndim > 0 else None


def pooling_unsupported(layer: str, pooling: Pooling, why: str, hint: str) -> InvalidArgument:
    """The refusal of a pooling."""
    what = f"layer {layer!r}" if layer else "the last activation before pooling"
    return InvalidArgument(
        "POOLING_UNSUPPORTED",
        f"cannot pool {what} by {pooling!r}: {why}",
        field="options.pooling",
        hint=hint,
    )


def _tokens(length: int, channels: int, trunk: Trunk) -> Activation:
    prefix = trunk.prefix_tokens
    if length in (trunk.grid_tokens, prefix) or length < prefix:
        # Before the prefix is put in front, or the prefix alone, as in the class attention of CaiT.
        prefix = 0
    has_class_token = prefix > 0 and trunk.class_token
    return Activation(
        Layout.TOKENS, channels, prefix, has_class_token, has_class_token and trunk.pools_class_token
    )
