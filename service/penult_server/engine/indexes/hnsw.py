"""`hnsw`: a graph of near neighbours. The quickest for high recall; slow to build, and built anew to grow."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register, too_few

LEAST = 256
"""Vectors below which comparing all of them is as quick."""


class HnswParameters(Parameters):
    """`m`: links a vector; `ef_construction`: care in building; `ef_search` 0 is raised for recall."""

    m: int = Field(32, ge=4, le=128)
    ef_construction: int = Field(64, ge=8, le=1024)
    ef_search: int = Field(0, ge=0, le=4096)
    recall: float = Field(0.98, gt=0, le=1)


@register
class Hnsw:
    """FAISS's IndexHNSWFlat (Malkov & Yashunin, TPAMI 2018)."""

    name = "hnsw"
    parameters = HnswParameters

    def plans(self, spec: IndexSpec, chosen: HnswParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        if count < LEAST:
            return [too_few(self.name, count, LEAST)]
        return [
            Plan(
                self.name,
                "it was asked for",
                f"HNSW{chosen.m},Flat",
                effort=chosen.ef_search,
                recall=chosen.recall,
                rows="structure",
                lossless=True,
                ef_construction=chosen.ef_construction,
            )
        ]

    def check(self, spec: IndexSpec, chosen: HnswParameters) -> None:
        """See Kind."""
