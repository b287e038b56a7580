"""`flat`: every vector is compared. Nothing to train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.base import Parameters, Plan, register


class FlatParameters(Parameters):
    """Where vectors are: in memory in full or in half precision, or on disk, read through the page cache."""

    vectors: Literal["float32", "float16", "disk"] = "float32"


@register
class Flat:
    """Searches the rows themselves."""

    name = "flat"
    parameters = FlatParameters

    def plans(self, spec: IndexSpec, chosen: FlatParameters, count: int) -> Sequence[Plan]:
        """See Kind."""
        return [Plan(self.name, "exact search was asked for", rows=chosen.vectors)]

    def check(self, spec: IndexSpec, chosen: FlatParameters) -> None:
        """See Kind."""
