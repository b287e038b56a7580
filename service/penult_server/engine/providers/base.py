"""The contract of an execution provider, and the table they register in."""

from __future__ import annotations

import dataclasses
from typing import Literal, Protocol, TypeVar

import torch

from penult_server.engine.device_thread import Runner

Precision = Literal["float32", "float16", "bfloat16"]


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a network is to run. `buckets` are the batch sizes worth preparing for, rising."""

    device: torch.device
    precision: Precision
    threads: int
    buckets: tuple[int, ...]


class ProviderUnsuitable(Exception):
    """This provider cannot run this network here. The text goes into the load report."""


class Provider(Protocol):
    """Builds runners for one type of device. `build` raises ProviderUnsuitable where it cannot."""

    name: str
    device_type: str

    def build(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> Runner:
        """A runner for `network`, which takes (N, H, W, 3) and gives float32 (N, dim).

        Called on the thread of the device, but for "cpu" on any thread, while the device works on.
        """
        ...


PROVIDERS: list[Provider] = []
P = TypeVar("P", bound=Provider)


def register(provider: type[P]) -> type[P]:
    """Class decorator: makes the provider one of PROVIDERS."""
    PROVIDERS.append(provider())
    return provider
