"""A copy of a structure on a GPU, for the searches that FAISS can do there.

What stays on the CPU (FAISS wiki, "Faiss on the GPU"): selectors, reconstruction, HNSW, and k or nprobe
above 2048. The CPU structure stays whole beside the copy, so a GPU without memory costs speed, not answers.
FAISS's GPU resources serve one thread at a time (wiki, "Threads and asynchronous calls"; faiss issue 2175).
"""

from __future__ import annotations

import contextlib
import threading

import faiss
import numpy as np

# Bounds of FAISS's selection kernels.
_MOST_K = 2048
_MOST_NPROBE = 2048
# GPU memory that FAISS sets aside for intermediate results.
_SCRATCH_BYTES = 256 << 20


def gpu_count() -> int:
    """GPUs that FAISS can use; 0 for a build without them."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


_FAILURES = (RuntimeError, MemoryError)
"""What FAISS raises where it cannot do something on a GPU, or has no memory there."""


class GpuCopy:
    """One index on one GPU, with resources of its own and a lock around them."""

    def __init__(self, index: faiss.Index, device: int) -> None:
        self._resources = faiss.StandardGpuResources()
        self._resources.setTempMemory(_SCRATCH_BYTES)
        options = faiss.GpuClonerOptions()
        options.indicesOptions = faiss.INDICES_64_BIT
        self._index = faiss.index_cpu_to_gpu(self._resources, device, index, options)
        self._lock = threading.Lock()
        self.device = f"cuda:{device}"

    def search(self, queries: np.ndarray, k: int, effort: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Distances and rows, or None where the CPU must answer: bounds of the GPU, or its memory is full."""
        if k > _MOST_K or effort > _MOST_NPROBE:
            return None
        with self._lock, contextlib.suppress(*_FAILURES):
            found: tuple[np.ndarray, np.ndarray] = self._index.search(
                queries, k, params=self._parameters(effort)
            )
            return found
        return None

    def _parameters(self, effort: int) -> faiss.SearchParameters | None:
        if not effort:
            return None
        chosen = faiss.SearchParametersIVF(nprobe=effort)
        # A transform in front of the index stays what it is, and hands its parameters on.
        if isinstance(faiss.downcast_index(self._index), faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(index_params=chosen)
        return chosen


def copy_to_gpu(index: faiss.Index) -> GpuCopy | None:
    """A copy on the first GPU; None where there is none, or no room, or FAISS cannot run the index there."""
    if not gpu_count():
        return None
    with contextlib.suppress(*_FAILURES):
        return GpuCopy(index, 0)
    return None
