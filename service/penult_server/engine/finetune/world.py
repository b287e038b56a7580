"""The processes that train together: one, or several that torchrun started."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn

_PATIENCE = datetime.timedelta(hours=6)


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """This process is number `rank` of `size`; the one that `leads` judges, saves and reports."""

    rank: int = 0
    size: int = 1
    leads: bool = True

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up the gradients of all processes; each then has the sum."""
        if self.size == 1:
            return
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        start = 0
        for parameter, gradient in zip(parameters, gradients, strict=True):
            part = flat[start : start + gradient.numel()]
            parameter.grad = gradient.copy_(part.view(gradient.shape))
            start += gradient.numel()

    def sum(self, value: float) -> float:
        """The sum of the processes' values."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        if dist.get_backend() == "nccl":
            tensor = tensor.cuda()
        dist.all_reduce(tensor)
        return float(tensor.item())

    def agree(self, decision: bool) -> bool:
        """What the leading process decided."""
        return self.sum(float(decision and self.leads)) > 0 if self.size > 1 else decision

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


def join(device: torch.device, *, leads: bool) -> World:
    """The world that torchrun's environment describes: NCCL between GPUs, gloo between CPUs."""
    if "WORLD_SIZE" not in os.environ:
        return ALONE
    # The others wait while the leading process judges, which may take long.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    return World(dist.get_rank(), dist.get_world_size(), leads)
