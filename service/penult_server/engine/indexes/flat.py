"""`flat`: every vector is compared. Exact, nothing to train, 4 bytes a value."""

from __future__ import annotations

from collections.abc import Sequence

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register


@register
class Flat:
    """Searches the rows themselves."""

    name = "flat"
    parameters = Parameters

    def plans(self, spec: IndexSpec, chosen: Parameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        return [Plan(self.name, "exact search was asked for")]

    def check(self, spec: IndexSpec, chosen: Parameters) -> None:
        """See Kind."""
