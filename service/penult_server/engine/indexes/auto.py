"""`auto`: exact while that is quick, then the first structure that proves itself within the memory budget."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from penult_server.core.index_kinds import AUTO, IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register
from penult_server.engine.indexes.ivf import POINTS_A_LIST, lists_for, training_size
from penult_server.engine.indexes.ivf_pq import parts_of

# Values that a core compares with one query in about 5 ms.
_EXACT_VALUES = 16_000_000
# Fewer vectors than this train no lists worth having, whatever the memory.
_LEAST = 5000
# Lists probed, as a share, past which lists gain too little over comparing everything.
_WORTH = 1 / 8
# A graph of more vectors than this takes hours to build on a few cores.
_MOST_HNSW = 200_000
_HNSW_LINK_BYTES = 32 * 2 * 4 + 16
# Key, life and list entry of a row, and room for what is not reclaimed yet.
_ROW_BYTES = 100
_SPARE = 1.1


class AutoParameters(Parameters):
    """The goal for recall@10."""

    recall: float = Field(0.98, gt=0, le=1)


@register
class Auto:
    """Chooses by the number of vectors, their dimension, the memory budget, and measured recall."""

    name = AUTO
    parameters = AutoParameters

    def plans(self, spec: IndexSpec, chosen: AutoParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        full = 4 * spec.dim
        if count < _LEAST or (count * spec.dim <= _EXACT_VALUES and _fits(spec, count, full)):
            return [Plan("flat", f"{count} vectors of {spec.dim} values are few enough to compare them all")]
        nlist = lists_for(count)
        what = f"{count} vectors of {spec.dim} values"
        if _fits(spec, count, full):
            plans = [
                Plan(
                    "ivf",
                    f"{what} are too many to compare them all",
                    f"IVF{nlist},Flat",
                    worth=max(1, int(_WORTH * nlist)),
                    recall=chosen.recall,
                    rows="structure",
                    lossless=True,
                    train=training_size(nlist),
                )
            ]
            if count <= _MOST_HNSW and _fits(spec, count, full + _HNSW_LINK_BYTES):
                plans.append(
                    Plan(
                        "hnsw",
                        f"{what} are too many to compare them all, and too spread for lists",
                        "HNSW32,Flat",
                        recall=chosen.recall,
                        rows="structure",
                        lossless=True,
                        ef_construction=64,
                    )
                )
            return plans
        budget = f"{spec.memory_bytes >> 20} MiB cannot hold {what} in full"
        if _fits(spec, count, spec.dim) or count < POINTS_A_LIST * 256:
            code, rerank = "SQ8", 4
        else:
            code, rerank = f"PQ{parts_of(spec.dim)}", 10
        return [
            Plan(
                "ivf" if code == "SQ8" else "ivf_pq",
                f"{budget}; short codes propose, vectors on disk decide",
                f"IVF{nlist},{code}",
                recall=chosen.recall,
                rerank=rerank,
                rows="disk",
                train=training_size(max(nlist, 256)),
            )
        ]

    def check(self, spec: IndexSpec, chosen: AutoParameters) -> None:
        """See Kind."""


def _fits(spec: IndexSpec, count: int, bytes_each: int) -> bool:
    return not spec.memory_bytes or _SPARE * count * (bytes_each + _ROW_BYTES) <= spec.memory_bytes
