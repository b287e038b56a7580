"""PyTorch on a CUDA device: channels-last, autocast, pinned copies, CUDA graphs over bucketed batch sizes.

Sources: "CUDA semantics" of the PyTorch documentation (pinned memory buffers; CUDA graphs; memory
management of streams) for `non_blocking`, `record_stream` and the capture protocol.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from penult_server.engine.device_thread import Pending, Runner
from penult_server.engine.providers.base import Placement, register

_CAPTURE_WARMUPS = 3


class _Graph:
    """A captured forward pass over one fixed batch size, with the tensors it reads and writes."""

    def __init__(self, graph: torch.cuda.CUDAGraph, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        self.graph = graph
        self.inputs = inputs
        self.outputs = outputs


class TorchCudaRunner:
    """Launches and returns: the host copies and batches the next while the device computes."""

    def __init__(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> None:
        """Must be built and used on the thread of the device."""
        self._network = network.to(placement.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = placement.device
        self._precision = placement.precision
        self._copy_stream = torch.cuda.Stream(self._device)
        self._compute_stream = torch.cuda.Stream(self._device)
        self._graphs: dict[int, _Graph] = {}
        pool = torch.cuda.graph_pool_handle()
        try:
            for size in sorted(placement.buckets, reverse=True):  # the others reuse the largest one's memory
                self._graphs[size] = self._capture(size, input_size, pool)
        except RuntimeError:
            # Not every operator can be captured, and memory may be short: eager launches always work.
            self._graphs.clear()

    def start(self, batch: np.ndarray) -> Pending:
        """See engine.device_thread.Runner."""
        count = len(batch)
        with torch.inference_mode():
            with torch.cuda.stream(self._copy_stream):
                pixels = torch.from_numpy(batch).pin_memory().to(self._device, non_blocking=True)
            with torch.cuda.stream(self._compute_stream):
                self._compute_stream.wait_stream(self._copy_stream)
                pixels.record_stream(self._compute_stream)
                rows = self._forward(pixels)[:count]
                host = torch.empty(rows.shape, dtype=torch.float32, pin_memory=True)
                host.copy_(rows, non_blocking=True)
                done = torch.cuda.Event()
                done.record(self._compute_stream)
        return _Launched(host, done)

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        fitting = [size for size in self._graphs if size >= len(pixels)]
        if not fitting:
            with self._autocast():
                return self._network(pixels).float()
        captured = self._graphs[min(fitting)]
        captured.inputs[: len(pixels)].copy_(pixels)
        captured.graph.replay()
        # Later replays write the same tensor, but on the same stream: the copy to the host comes first.
        return captured.outputs

    def _capture(self, size: int, input_size: tuple[int, int], pool: Any) -> _Graph:
        inputs = torch.zeros(size, *input_size, 3, dtype=torch.uint8, device=self._device)
        with torch.inference_mode(), torch.cuda.stream(self._compute_stream), self._autocast():
            for _ in range(_CAPTURE_WARMUPS):  # cuDNN picks algorithms and allocates workspaces here
                self._network(inputs)
            self._compute_stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=self._compute_stream):
                outputs = self._network(inputs).float()
        return _Graph(graph, inputs, outputs)

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        if self._precision == "float32":
            yield
            return
        # Casts cached across a capture would be freed memory at replay.
        with torch.autocast("cuda", dtype=getattr(torch, self._precision), cache_enabled=False):
            yield


class _Launched:
    def __init__(self, host: torch.Tensor, done: torch.cuda.Event) -> None:
        self._host = host
        self._done = done

    def result(self) -> np.ndarray:
        self._done.synchronize()
        return self._host.numpy()


@register
class TorchCuda:
    """Provider "torch" on NVIDIA devices."""

    name = "torch"
    device_type = "cuda"

    def build(self, network: torch.nn.Module, input_size: tuple[int, int], placement: Placement) -> Runner:
        """See engine.providers.base.Provider."""
        return TorchCudaRunner(network, input_size, placement)
