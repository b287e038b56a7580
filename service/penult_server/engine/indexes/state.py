"""An index at one moment. A write makes a new state; readers keep the one that they began with."""

from __future__ import annotations

import dataclasses

import numpy as np

from penult_server.core.index_kinds import Metric
from penult_server.engine.indexes.rows import RowsView
from penult_server.engine.indexes.structure import Structure


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """Rows 0 to size - 1 of `rows` are in `structure`, if there is one; later ones are searched exactly.

    `keys` (int64) and `alive` (bool) have one entry a row. A row dies when its key is removed or put
    anew; its number is not used again before `optimize` renumbers them.
    """

    metric: Metric
    rows: RowsView
    keys: np.ndarray
    alive: np.ndarray
    count: int
    sequence: int
    structure: Structure | None = None

    @property
    def structured(self) -> int:
        """Rows that the structure holds, dead ones too."""
        return self.structure.size if self.structure else 0

    @property
    def dead(self) -> int:
        """Rows whose space can be reclaimed."""
        return self.rows.count - self.count

    @property
    def pending(self) -> int:
        """Living rows that no structure holds."""
        return int(np.count_nonzero(self.alive[self.structured :]))
