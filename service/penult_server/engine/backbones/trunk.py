"""A classification model of a library without its classifier, behind one face for all families."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import torch
from torch import nn


class Trunk(nn.Module, abc.ABC):
    """Takes normalised pictures, float32 (N, 3, H, W), and gives the penultimate activation (N, dim).

    The constructor puts an identity in the place of each classifier, so that the tensors of a trunk
    are exactly those that decide a feature.
    """

    prefix_tokens = 0
    """Class, distillation and register tokens before the grid in a token sequence."""
    grid_tokens: int | None = None
    """Length of the grid in a token sequence, where the model says so."""
    class_token = False
    """True where the first prefix token is a class token."""
    pools_class_token = False
    """True where the backbone itself takes the class token for its feature."""
    channels_last = False
    """True where maps are (N, H, W, C) when their shape alone does not tell."""
    final_map = ""
    """Name, within the trunk, of the module that gives the last activation before pooling; "" if unknown."""

    def __init__(self, model: nn.Module, classifiers: tuple[str, ...], ignored: tuple[str, ...] = ()) -> None:
        """`classifiers` are module names in `model`; `ignored` starts names of tensors it never uses."""
        super().__init__()
        for name in classifiers:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, nn.Identity())
        self.model = model
        self.classifiers = classifiers
        self._unused = tuple(f"{name}." for name in classifiers) + ignored
        self.eval()

    @abc.abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised float32 to (N, dim)."""

    def uses(self, tensor_name: str) -> bool:
        """False for tensors of a classifier or of an auxiliary head."""
        return not tensor_name.startswith(self._unused)

    def translations(self, tensors: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """The tensors of a checkpoint under the names of this model, from the most literal reading on."""
        return [dict(tensors)]
