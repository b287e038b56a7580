"""Execution providers: the same network, run by different libraries. Adding one is a new file here."""

from penult_server.engine.providers import openvino_cpu, torch_cpu, torch_cuda

__all__ = ["openvino_cpu", "torch_cpu", "torch_cuda"]
