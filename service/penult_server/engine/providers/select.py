"""Picks the provider for a network, and believes nothing: each is checked against eager float32 torch."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import numpy as np
import torch

from penult_server.core.errors import InvalidArgument
from penult_server.engine.device_thread import DeviceThread, Runner
from penult_server.engine.probe_pictures import probe_pictures
from penult_server.engine.providers.base import PROVIDERS, Placement, Precision, Provider, ProviderUnsuitable
from penult_server.engine.providers.torch_cpu import TorchCpuRunner

MIN_COSINE = 0.9999
ProviderName = Literal["auto", "torch", "openvino"]
PrecisionName = Literal["auto", "float32", "float16", "bfloat16"]


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """A runner that passed. `numerics` is empty where its features are those of float32 torch."""

    runner: Runner
    provider: str
    precision: Precision
    cosine: float
    note: str
    numerics: str


def choose(
    network: torch.nn.Module,
    input_size: tuple[int, int],
    device: DeviceThread,
    placement: Placement,
    wanted_provider: ProviderName,
    wanted_precision: PrecisionName,
) -> Choice:
    """The first candidate whose worst cosine on real pictures is at least MIN_COSINE.

    A precision that the operator names is taken even below it, with the figure in the note: that is
    their decision, and the fingerprint tells the features apart.

    Raises:
        InvalidArgument: no provider that was asked for can run this network on this device.
    """
    pictures = probe_pictures(input_size)
    # In the thread that loads: nobody else has this network yet, and the device works on for the others.
    reference = run_probe(TorchCpuRunner(network, "float32"), pictures)
    notes: list[str] = []
    for provider, precision in _candidates(placement.device.type, wanted_provider, wanted_precision):
        label = f"{provider.name} {precision}"
        try:
            runner = _build(
                provider, network, input_size, dataclasses.replace(placement, precision=precision), device
            )
        except ProviderUnsuitable as error:
            notes.append(f"{label}: {error}")
            continue
        cosine = worst_cosine(reference, device.call(functools.partial(run_probe, runner, pictures)))
        if cosine >= MIN_COSINE or (wanted_precision != "auto" and np.isfinite(cosine)):
            notes.append(f"{label}: worst cosine to eager float32 torch {cosine:.6f}")
            numerics = (
                "" if precision == "float32" else f"{provider.name}-{placement.device.type}-{precision}"
            )
            return Choice(runner, provider.name, precision, cosine, "; ".join(notes), numerics)
        notes.append(f"{label}: refused, worst cosine to eager float32 torch {cosine:.6f} < {MIN_COSINE}")
    raise InvalidArgument(
        "PROVIDER_UNSUITABLE",
        f"no provider can run this backbone on {placement.device}: {'; '.join(notes) or 'none fits'}",
        hint="set provider and precision to auto in the server's settings",
    )


def worst_cosine(reference: np.ndarray, features: np.ndarray) -> float:
    """Smallest cosine between rows of two (N, dim) arrays; NaN where one is not finite."""
    a, b = reference.astype(np.float64), features.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.min((a * b).sum(axis=1) / norms))


def run_probe(runner: Runner, pictures: np.ndarray) -> np.ndarray:
    """Features of the pictures, in two batch sizes, so that a wrongly traced batch dimension shows."""
    return np.concatenate([runner.start(part.copy()).result() for part in (pictures[:1], pictures[1:])])


def _build(
    provider: Provider,
    network: torch.nn.Module,
    input_size: tuple[int, int],
    placement: Placement,
    device: DeviceThread,
) -> Runner:
    """On the thread of an accelerator; but a conversion for the CPU takes seconds and touches no device."""
    if provider.device_type == "cpu":
        return provider.build(network, input_size, placement)
    return device.call(lambda: provider.build(network, input_size, placement))


def _candidates(
    device_type: str, provider: ProviderName, precision: PrecisionName
) -> list[tuple[Provider, Precision]]:
    fitting = [p for p in PROVIDERS if p.device_type == device_type and provider in ("auto", p.name)]
    fitting.sort(key=lambda p: p.name == "torch")  # the reference itself comes last: it always passes
    if precision != "auto":
        return [(p, precision) for p in fitting]
    # float16 has the mantissa of TF32 and is the fast path of every CUDA device.
    precisions: list[Precision] = ["float16", "float32"] if device_type == "cuda" else ["float32"]
    return [(p, choice) for p in fitting for choice in precisions]
