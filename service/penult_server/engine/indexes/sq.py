"""`sq`: every vector is compared, in fewer bits. Half or a quarter of the memory of `flat`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register, too_few

# Enough for the range of values that 8 bits are spread over.
_TRAIN = 65_536
_LEAST = 256


class SqParameters(Parameters):
    """`fp16` halves the memory and hardly moves a score; `8bit` quarters it."""

    encoding: Literal["fp16", "8bit"] = "fp16"


@register
class ScalarQuantised:
    """FAISS's IndexScalarQuantizer. It holds no other copy, so scores are those of the shortened vectors."""

    name = "sq"
    parameters = SqParameters

    def plans(self, spec: IndexSpec, chosen: SqParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        if count < _LEAST:
            return [too_few(self.name, count, _LEAST)]
        factory = "SQfp16" if chosen.encoding == "fp16" else "SQ8"
        return [Plan(self.name, "it was asked for", factory, rows="structure", train=_TRAIN)]

    def check(self, spec: IndexSpec, chosen: SqParameters) -> None:
        """See Kind."""
