"""Eager PyTorch on the CPU: the reference that every other provider is checked against."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import torch

from penult_server.engine.device_thread import Pending, Runner
from penult_server.engine.providers.base import Placement, register


@dataclasses.dataclass(frozen=True, slots=True)
class Computed:
    """A result that is there already."""

    rows: np.ndarray

    def result(self) -> np.ndarray:
        """The rows."""
        return self.rows


class TorchCpuRunner:
    """Runs in the calling thread, with torch's own threads inside operators."""

    def __init__(self, network: torch.nn.Module, precision: str) -> None:
        """`precision` below float32 means autocast."""
        self._network = network
        self._autocast = (
            contextlib.nullcontext()
            if precision == "float32"
            else torch.autocast("cpu", dtype=getattr(torch, precision))
        )

    def start(self, batch: np.ndarray) -> Pending:
        """See engine.device_thread.Runner."""
        with torch.inference_mode(), self._autocast:
            return Computed(self._network(torch.from_numpy(batch)).float().numpy())


@register
class TorchCpu:
    """Provider "torch" where there is no accelerator."""

    name = "torch"
    device_type = "cpu"

    def build(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> Runner:
        """See engine.providers.base.Provider."""
        return TorchCpuRunner(network, placement.precision)
