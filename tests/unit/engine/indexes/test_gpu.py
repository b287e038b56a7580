from __future__ import annotations

import faiss
import numpy as np
import pytest

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes import gpu
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.indexes.gpu import GpuCopy, copy_to_gpu, gpu_count

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


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "IVF16,SQ8"])
def test_a_gpu_finds_what_the_cpu_finds(factory: str) -> None:
    index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add(VECTORS)
    effort = 16 if factory.startswith("IVF") else 0
    if effort:
        index.nprobe = effort
    found = GpuCopy(index, 0).search(VECTORS[:100], 5, effort)
    assert found is not None
    assert (found[1] == index.search(VECTORS[:100], 5)[1]).mean() > 0.95


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_leaves_large_k_and_graphs_to_the_cpu() -> None:
    flat = faiss.IndexFlatIP(32)
    flat.add(VECTORS)
    assert GpuCopy(flat, 0).search(VECTORS[:1], 2500, 0) is None
    graph = faiss.IndexHNSWFlat(32, 16)
    graph.add(VECTORS)
    assert copy_to_gpu(graph) is None
