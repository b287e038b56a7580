"""`power`: shortens large values, so that a few strong ones do not decide alone.

The signed root of Jégou, Perronnin, Douze, Sánchez, Pérez & Schmid, TPAMI 2012.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from penult_server.engine.retrieval.base import Fitted, Parameters, Step, normalised, register


class PowerParameters(Parameters):
    """The exponent; 1 changes nothing."""

    exponent: float = Field(0.5, gt=0, le=1)


@register
class Power(Step):
    """The sign of each value, and its size to the exponent; then length 1."""

    name = "power"
    parameters = PowerParameters

    def transform(self, vectors: np.ndarray, fitted: Fitted) -> np.ndarray:
        """See Step."""
        return normalised(np.sign(vectors) * np.abs(vectors) ** np.float32(self.chosen.exponent))
