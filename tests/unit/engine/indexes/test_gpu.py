from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes import gpu
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.indexes.gpu import GpuCopy, copy_to_gpu, gpu_count
from penult_server.engine.indexes.structure import Structure, parameters

needs_gpu = pytest.mark.skipif(gpu_count() == 0, reason="FAISS sees no GPU")
VECTORS = np.random.default_rng(1).normal(size=(3000, 32)).astype(np.float32)


def test_without_a_gpu_there_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "gpu_count", lambda: 0)
    assert copy_to_gpu(faiss.IndexFlatIP(4)) is None


def test_a_gpu_that_gives_up_leaves_the_answer_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        device = "cuda:0"
        asked = 0

        def search(self, queries: np.ndarray, k: int, effort: int) -> None:
            Full.asked += 1

    monkeypatch.setattr(gpu, "copy_to_gpu", lambda index: Full())
    index = FaissEngine(threads=1).create(IndexSpec(32, kind="ivf"))
    index.add(np.arange(3000), VECTORS, sequence=1)
    assert index.optimize(lambda share, words: None).device == "cuda:0"
    assert (index.search(VECTORS[:50], 1)[0][:, 0] == np.arange(50)).mean() > 0.9
    assert Full.asked


class FakeGpu:
    """Stands in for FAISS's functions: the "copy" is the index itself, and memory runs out when asked to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full: type[Exception] | None = None
        self.searches = 0
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
        monkeypatch.setattr(faiss, "StandardGpuResources", Resources, raising=False)
        monkeypatch.setattr(faiss, "GpuClonerOptions", SimpleNamespace, raising=False)
        monkeypatch.setattr(faiss, "INDICES_64_BIT", 3, raising=False)
        monkeypatch.setattr(faiss, "index_cpu_to_gpu", self.copy, raising=False)

    def copy(self, resources: Any, device: int, index: faiss.Index, options: Any) -> faiss.Index:
        self.check()
        copied = faiss.clone_index(index)
        search = copied.search

        def counting(queries: np.ndarray, k: int, **chosen: Any) -> Any:
            self.searches += 1
            self.check()
            return search(queries, k, **chosen)

        copied.search = counting
        return copied

    def check(self) -> None:
        if self.full:
            raise self.full("Failed to cudaMalloc 268435456 bytes on device 0 (error 2 out of memory)")


class Resources:
    def setTempMemory(self, count: int) -> None:
        assert count > 0


@pytest.mark.parametrize("full", [RuntimeError, MemoryError])
@pytest.mark.parametrize("factory", ["IVF16,Flat", "PCA16,IVF16,Flat", "Flat"])
def test_a_full_gpu_costs_speed_and_no_answers(
    monkeypatch: pytest.MonkeyPatch, factory: str, full: type[Exception]
) -> None:
    gpu_memory = FakeGpu(monkeypatch)
    index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add(VECTORS)
    effort = 0 if factory == "Flat" else 16
    copy = copy_to_gpu(index)
    assert copy is not None
    truth = Structure(index, len(VECTORS), 0, effort).candidates(VECTORS[:20], 5, None)[0]
    served = Structure(index, len(VECTORS), 0, effort, gpu=copy)
    for gpu_memory.full in (None, full, None):  # enough, none, and enough again
        assert np.array_equal(served.candidates(VECTORS[:20], 5, None)[0], truth)
    assert gpu_memory.searches == 3
    found = copy.search(VECTORS[:20], 5, effort)
    assert found is not None
    assert np.array_equal(found[1], truth)
    assert served.candidates(VECTORS[:20], 5, np.arange(len(VECTORS)) % 2 == 0)[0].max() >= 0
    assert gpu_memory.searches == 4, "a selector is the CPU's"
    gpu_memory.full = full
    assert copy_to_gpu(index) is None


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "IVF16,SQ8", "PCA16,IVF16,Flat"])
def test_a_gpu_finds_what_the_cpu_finds(factory: str) -> None:
    index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add(VECTORS)
    effort = 16 if "IVF" in factory else 0
    found = GpuCopy(index, 0).search(VECTORS[:100], 5, effort)
    assert found is not None
    truth = index.search(VECTORS[:100], 5, params=parameters(index, effort, None))[1]
    assert (found[1] == truth).mean() > 0.95


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_leaves_large_k_and_graphs_to_the_cpu() -> None:
    flat = faiss.IndexFlatIP(32)
    flat.add(VECTORS)
    assert GpuCopy(flat, 0).search(VECTORS[:1], 2500, 0) is None
    graph = faiss.IndexHNSWFlat(32, 16)
    graph.add(VECTORS)
    assert copy_to_gpu(graph) is None
