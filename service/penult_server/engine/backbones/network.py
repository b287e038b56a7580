"""What runs on a device: pictures in, features out, all arithmetic in one graph."""

from __future__ import annotations

import torch
from torch import nn

from penult_server.core.features import DEFAULT_OUTPUT, OutputSpec, Pooling
from penult_server.core.preprocess import Preprocess
from penult_server.engine.backbones.anatomy import Anatomy
from penult_server.engine.backbones.layers import Activation, first_tensor
from penult_server.engine.backbones.trunk import Trunk


class Network(nn.Module):
    """A backbone from pixels to its feature.

    Scaling and normalisation are inside, in float32 and in the order of timm's `ToTensor` and
    `Normalize`, so that no provider can do them differently. There is no Python that depends on
    data: it can be traced, exported and compiled.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: Trunk, preprocess: Preprocess, anatomy: Anatomy) -> None:
        """`anatomy` is that of `trunk`."""
        super().__init__()
        self.trunk = trunk
        self.anatomy = anatomy
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocess.std).view(1, -1, 1, 1), persistent=False)
        self.eval()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Features of a batch.

        Args:
            pictures: (N, H, W, 3), uint8 in 0..255 or floating point in 0..1.

        Returns:
            float32 (N, dim), for timm exactly `forward_head(forward_features(x), pre_logits=True)`.
        """
        return self.trunk(self.normalise(pictures)).float()

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, H, W, 3) pixels to the float32 (N, 3, H, W) input of the trunk, channels last in memory."""
        x = pictures.permute(0, 3, 1, 2).float()
        if pictures.dtype == torch.uint8:
            x = x / 255
        return (x - self.mean) / self.std

    def dim(self, spec: OutputSpec) -> int:
        """Length of the vector for this output.

        Raises:
            InvalidArgument: LAYER_UNKNOWN with near matches, or POOLING_UNSUPPORTED.
        """
        if spec == DEFAULT_OUTPUT:
            return self.anatomy.dim
        return self.anatomy.activation(spec.layer, spec.pooling).dim(spec.layer, spec.pooling)

    def variant(self, spec: OutputSpec) -> nn.Module:
        """A module like this one that gives another output. It shares the weights.

        Where no pooling is named, an intermediate layer is pooled as the backbone pools: the class
        token where that is the backbone's own way, else the mean over positions.

        Raises:
            InvalidArgument: LAYER_UNKNOWN with near matches, or POOLING_UNSUPPORTED.
        """
        if spec == DEFAULT_OUTPUT:
            return self
        activation = self.anatomy.activation(spec.layer, spec.pooling)
        pooling = activation.resolve(spec.layer, spec.pooling)
        module = f"model.{spec.layer}" if spec.layer else self.anatomy.final_module
        return LayerNetwork(self, module, activation, pooling)


class LayerNetwork(nn.Module):
    """The same backbone up to one layer, pooled. Stops there: what comes after is not computed.

    It places a hook for the time of a forward pass, so one network must not run in two threads at
    once; a device has one thread. Tracing sees a plain graph.
    """

    def __init__(self, network: Network, module: str, activation: Activation, pooling: Pooling) -> None:
        """`module` is a name within the trunk, `activation` what it puts out, `pooling` resolved."""
        super().__init__()
        self.network = network
        self._module = module
        self._activation = activation
        self._pooling = pooling

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, H, W, 3) pixels as `Network.forward` takes them to float32 (N, dim)."""
        module = self.network.trunk.get_submodule(self._module)
        handle = module.register_forward_hook(self._stop)
        try:
            self.network(pictures)
        except _LayerReached as reached:
            return reached.feature
        finally:
            handle.remove()
        raise AssertionError(f"{self._module} ran when its shape was examined, and not now")

    def _stop(self, module: nn.Module, args: object, output: object) -> None:
        x = first_tensor(output)
        assert x is not None
        raise _LayerReached(self._activation.pool(x, self._pooling))


class _LayerReached(Exception):
    """Control flow, not a fault."""

    def __init__(self, feature: torch.Tensor) -> None:
        super().__init__()
        self.feature = feature
