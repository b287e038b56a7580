"""Loading a backbone: read, place, choose a provider, check, warm up."""

from __future__ import annotations

from pathlib import Path

import torch

from penult_server.core.backbones import BackboneFacts, LoadReport
from penult_server.core.features import BackboneIdentity, FeatureOptions, fingerprint
from penult_server.engine.backbones.catalog import BuiltBackbone, Catalog
from penult_server.engine.backbones.fine_tuned import LinkedBackbones
from penult_server.engine.device_thread import DeviceThread
from penult_server.engine.loaded_backbone import EngineBackbone
from penult_server.engine.machine import memory_bytes
from penult_server.engine.probe_pictures import probe_pictures
from penult_server.engine.providers.base import Placement
from penult_server.engine.providers.select import Choice, PrecisionName, ProviderName, choose


def pick_device(wanted: str) -> torch.device:
    """`auto` means the first CUDA device where there is one, else the CPU. Other names are torch's own.

    Raises ValueError for a name of no device, or of one that is not there.
    """
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ValueError(f"device: {wanted!r} is none of auto, cpu, cuda and cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device: {wanted!r} is none of auto, cpu, cuda and cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device: {wanted!r} is not there; torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


class Loader:
    """Implements core.ports.BackboneLoader for one device."""

    def __init__(
        self,
        catalog: Catalog,
        device: DeviceThread,
        torch_device: torch.device,
        *,
        provider: ProviderName,
        precision: PrecisionName,
        threads: int,
        max_batch: int,
        memory_budget: int,
        decoder_numerics: str = "",
    ) -> None:
        """`memory_budget` in bytes; 0 takes half of the device's memory.

        `decoder_numerics` names an image decoder that moves features, for the fingerprint.
        """
        self._decoder_numerics = decoder_numerics
        self._catalog = catalog
        self._device = device
        self._torch_device = torch_device
        self._provider: ProviderName = provider
        self._precision: PrecisionName = precision
        self._threads = threads
        self._max_batch = max_batch
        self._memory_budget = memory_budget or memory_bytes(torch_device) // 2

    def memory_budget(self) -> int:
        """See core.ports.BackboneLoader."""
        return self._memory_budget

    def fingerprint(self, directory: Path) -> str:
        """See core.finetune_ports.Fingerprints."""
        files = LinkedBackbones({"models/new": directory})
        built = Catalog(None, None, allow_download=False, own=files).build("models/new")
        numerics = self._numerics(self._choose(built))
        identity = BackboneIdentity(
            built.facts.architecture, built.weights_sha256, built.facts.preprocess, numerics
        )
        return fingerprint(identity, FeatureOptions())

    def load(self, facts: BackboneFacts) -> EngineBackbone:
        """See core.ports.BackboneLoader."""
        built = self._catalog.build(facts.name)
        placement, choice = self._placement(), self._choose(built)
        pictures = probe_pictures(facts.preprocess.input_size)
        for count in placement.buckets:
            batch = pictures[[i % len(pictures) for i in range(count)]]
            self._device.call(lambda batch=batch: choice.runner.start(batch).result())  # type: ignore[misc]
        weights = sum(p.numel() * p.element_size() for p in built.network.parameters())
        report = LoadReport(
            device=str(self._torch_device),
            provider=choice.provider,
            provider_cosine=choice.cosine,
            provider_note=choice.note,
            memory_bytes=weights * (2 if choice.provider != "torch" else 1),
            weights_sha256=built.weights_sha256,
            numerics=self._numerics(choice),
        )
        return EngineBackbone(built.facts, report, built.network, choice.runner, self._device, placement)

    def _choose(self, built: BuiltBackbone) -> Choice:
        return choose(
            built.network, built.facts.preprocess.input_size, self._device, self._placement(),
            self._provider, self._precision,
        )  # fmt: skip

    def _placement(self) -> Placement:
        buckets = _buckets(self._torch_device.type, self._max_batch)
        return Placement(self._torch_device, "float32", self._threads, buckets)

    def _numerics(self, choice: Choice) -> str:
        return " ".join(filter(None, (choice.numerics, self._decoder_numerics)))


def _buckets(device_type: str, max_batch: int) -> tuple[int, ...]:
    """Batch sizes to prepare for: every one on the CPU, where shapes are cheap; else powers of two."""
    if device_type == "cpu":
        return tuple(range(1, max_batch + 1))
    sizes = [1]
    while sizes[-1] * 2 < max_batch:
        sizes.append(sizes[-1] * 2)
    return tuple(dict.fromkeys([*sizes, max_batch]))
