"""`ivf_pq`: lists of short codes; the best of them are compared again with the vectors themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register, too_few
from penult_server.engine.indexes.ivf import POINTS_A_LIST, check_probes, lists_for, training_size

# Values that a part stands for, where the caller does not say how many parts there are.
_VALUES_A_PART = 16


class IvfPqParameters(Parameters):
    """A code has `parts` of `bits`; 0 takes one for 16 values. `rerank` hits for one are compared exactly."""

    nlist: int = Field(0, ge=0, le=65_536)
    nprobe: int = Field(0, ge=0, le=65_536)
    parts: int = Field(0, ge=0, le=1024)
    bits: int = Field(8, ge=4, le=8)
    rerank: int = Field(10, ge=1, le=1000)
    vectors: Literal["disk", "float16", "float32"] = "disk"
    recall: float = Field(0.98, gt=0, le=1)


@register
class IvfPq:
    """FAISS's IndexIVFPQ, with re-ranking by the exact vectors (Jégou, Douze & Schmid, TPAMI 2011)."""

    name = "ivf_pq"
    parameters = IvfPqParameters

    def plans(self, spec: IndexSpec, chosen: IvfPqParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        nlist = chosen.nlist or lists_for(count)
        least = POINTS_A_LIST * max(nlist, 2**chosen.bits)
        if count < least:
            return [too_few(self.name, count, least)]
        return [
            Plan(
                self.name,
                "it was asked for",
                f"IVF{nlist},PQ{chosen.parts or parts_of(spec.dim)}x{chosen.bits}",
                effort=chosen.nprobe,
                recall=chosen.recall,
                rerank=chosen.rerank,
                rows=chosen.vectors,
                train=training_size(max(nlist, 2**chosen.bits)),
            )
        ]

    def check(self, spec: IndexSpec, chosen: IvfPqParameters) -> None:
        """See Kind."""
        check_probes(chosen.nlist, chosen.nprobe)
        if chosen.parts and spec.dim % chosen.parts:
            raise InvalidArgument(
                "INDEX_PARAMETERS_INVALID",
                f"{chosen.parts} parts do not divide the {spec.dim} dimensions",
                field="parameters.parts",
            )


def parts_of(dim: int) -> int:
    """The largest divisor of `dim` that is at most one for 16 values, and at least 1."""
    return max(part for part in range(1, max(1, dim // _VALUES_A_PART) + 1) if dim % part == 0)
