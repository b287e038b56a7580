"""A copy of a structure on a GPU, for the searches that FAISS can do there.

What stays on the CPU (FAISS wiki, "Faiss on the GPU"): selectors, reconstruction, HNSW, and k or nprobe
above 2048. The CPU structure stays whole beside the copy, so a GPU without memory costs speed, not answers.
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


class GpuCopy:
    """One index on one GPU. FAISS's GPU resources serve one thread at a time."""

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
        with self._lock, contextlib.suppress(RuntimeError):
            if effort:
                parameters = faiss.SearchParametersIVF(nprobe=effort)
                found: tuple[np.ndarray, np.ndarray] = self._index.search(queries, k, params=parameters)
            else:
                found = self._index.search(queries, k)
            return found
        return None


def copy_to_gpu(index: faiss.Index) -> GpuCopy | None:
    """A copy on the first GPU; None where there is none, or no room, or FAISS cannot run the index there."""
    if not gpu_count():
        return None
    with contextlib.suppress(RuntimeError):
        return GpuCopy(index, 0)
    return None
