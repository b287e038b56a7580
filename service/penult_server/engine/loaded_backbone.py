"""A backbone in memory: its network, and one runner for each output that somebody asked for."""

from __future__ import annotations

import collections
import threading

import torch

from penult_server.core.backbones import BackboneFacts, LoadReport
from penult_server.core.features import DEFAULT_OUTPUT, OutputSpec
from penult_server.engine.backbones.network import Network
from penult_server.engine.device_thread import DeviceThread, Runner
from penult_server.engine.probe_pictures import probe_pictures
from penult_server.engine.providers.base import PROVIDERS, Placement
from penult_server.engine.providers.select import run_probe, worst_cosine

_MAX_VARIANTS = 8
_SAME_COSINE = 0.999


class EngineBackbone:
    """Implements core.ports.LoadedBackbone."""

    def __init__(
        self,
        facts: BackboneFacts,
        report: LoadReport,
        network: Network,
        runner: Runner,
        device: DeviceThread,
        placement: Placement,
    ) -> None:
        """`runner` computes the default output; it has been checked and warmed up."""
        self.facts = facts
        self.report = report
        self.device = device
        self._network: Network | None = network
        self._placement = placement
        self._default = runner
        self._variants: collections.OrderedDict[OutputSpec, Runner] = collections.OrderedDict()
        self._dims: dict[OutputSpec, int] = {DEFAULT_OUTPUT: facts.dim}
        self._building = threading.Lock()
        self._probe = device.call(lambda: run_probe(runner, probe_pictures(facts.preprocess.input_size)))

    def dim(self, output: OutputSpec) -> int:
        """See core.ports.LoadedBackbone."""
        if output not in self._dims:
            self._dims[output] = self._open_network().dim(output)
        return self._dims[output]

    def ready_runner(self, output: OutputSpec) -> Runner | None:
        """The runner for this output if there is one already."""
        return self._default if output == DEFAULT_OUTPUT else self._variants.get(output)

    def build_runner(self, output: OutputSpec) -> Runner:
        """Makes the runner for an output other than the default. Blocking; not on the device thread.

        Other layers and poolings always run on torch: they are too varied to convert each.
        """
        with self._building:
            if (runner := self._variants.get(output)) is not None:
                return runner
            module = self._open_network().variant(output)
            provider = next(
                p for p in PROVIDERS if p.name == "torch" and p.device_type == self._placement.device.type
            )
            size = self.facts.preprocess.input_size
            runner = self.device.call(lambda: provider.build(module, size, self._placement))
            self._variants[output] = runner
            while len(self._variants) > _MAX_VARIANTS:
                self._variants.popitem(last=False)
            return runner

    def check(self) -> bool:
        """A real forward pass: True when the device still gives the features that it gave at load."""
        pictures = probe_pictures(self.facts.preprocess.input_size)
        return (
            worst_cosine(self._probe, self.device.call(lambda: run_probe(self._default, pictures)))
            > _SAME_COSINE
        )

    def close(self) -> None:
        """See core.ports.LoadedBackbone."""
        self._variants.clear()
        self._network = None
        del self._default
        if self._placement.device.type == "cuda":
            self.device.call(torch.cuda.empty_cache)

    def _open_network(self) -> Network:
        assert self._network is not None, "used after close"
        return self._network
