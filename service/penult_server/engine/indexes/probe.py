"""Tries a factory string on a few vectors: `python -m penult_server.engine.indexes.probe DIM STRING METRIC`.

Prints one line of JSON: `invalid` or `unsupported` with the reason, or what `factory.probe` returns.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any, cast

import faiss
import numpy as np

from penult_server.core.index_kinds import Metric
from penult_server.engine.indexes.ivf import POINTS_A_LIST
from penult_server.engine.indexes.structure import faiss_metric, innermost, make, parameters

_MEMORY_BYTES = 16 << 30
_COUNT = 1024
_LEAST = 256
_K = 5


def main(dim: int, factory: str, metric: Metric) -> dict[str, Any]:
    """The answer, as it is printed."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    faiss.omp_set_num_threads(1)
    try:
        whole = make(dim, factory, metric)
        small = make(dim, re.sub(r"\bIVF\d+", "IVF4", factory), metric)
    except (RuntimeError, MemoryError) as error:
        return {"invalid": _first_words(error)}
    refused = _refused(whole, metric)
    if refused:
        return {"unsupported": refused}
    vectors = np.random.default_rng(1).normal(size=(_COUNT, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    try:
        small.train(vectors)
        small.add(vectors[:-1])
        small.add(vectors[-1:])
        rows = small.search(vectors[:_K], _K)[1]
    except (RuntimeError, MemoryError) as error:
        return {"unsupported": _first_words(error)}
    if rows.max() >= _COUNT or (rows < 0).all():
        return {"unsupported": "a search does not find what was added"}
    inner = innermost(whole)
    lists = getattr(inner, "nlist", 0)
    centroids = 2 ** int(inner.pq.nbits) if hasattr(inner, "pq") else 0
    wanted = POINTS_A_LIST * max(lists, centroids)
    return {
        "least": max(wanted, _LEAST if whole.is_trained else max(_LEAST, dim)),
        "train": max(2 * wanted, 65_536),
        "selects": _selects(small, vectors),
    }


def _refused(index: faiss.Index, metric: Metric) -> str:
    inner = innermost(index)
    if isinstance(inner, faiss.IndexIDMap | faiss.IndexIDMap2):
        return "leave out IDMap, ids are kept beside it"
    if isinstance(inner, faiss.IndexRefine):
        return "leave out the refinement, the parameter rerank does it with the exact vectors"
    if inner.metric_type != faiss_metric(metric):
        return f"it has no metric {metric}"
    return ""


def _selects(index: faiss.Index, vectors: np.ndarray) -> bool:
    """Whether it honours a selector: all that it finds is allowed, and it finds something."""
    may = np.zeros(len(vectors), bool)
    may[::7] = True
    selector = faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))
    try:
        rows = index.search(vectors[:_K], _K, params=parameters(index, 4, selector))[1]
    except (RuntimeError, TypeError):
        return False
    found = rows[rows >= 0]
    return bool(len(found)) and bool(may[found].all())


def _first_words(error: BaseException) -> str:
    """The reason inside of FAISS's message, without its place in the sources."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"^Error in .*? at \S+:\d+: ", "", text)[:200]


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], cast(Metric, sys.argv[3]))))
