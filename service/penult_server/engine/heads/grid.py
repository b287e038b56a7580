"""The values of C that are tried: by default the 45 points of logspace(-6, 5) of CLIP and DINOv2."""

from __future__ import annotations

import numpy as np

from penult_server.engine.heads.base import Grid, Point
from penult_server.engine.heads.parameters import SearchedParameters


def c_grid(parameters: SearchedParameters, others: tuple[Point, ...] = ({},)) -> Grid | Point:
    """What to choose from; a point where nothing is left to choose."""
    if parameters.C is not None:
        if len(others) == 1:
            return {**others[0], "C": parameters.C}
        return Grid("C", (parameters.C,), others)
    low, high = np.log10(parameters.C_min), np.log10(parameters.C_max)
    if parameters.search != "random":
        return Grid("C", tuple(np.logspace(low, high, parameters.points).tolist()), others)
    drawn = np.random.default_rng(parameters.seed).uniform(low, high, parameters.points)
    return Grid("C", tuple(np.sort(10.0**drawn).tolist()), others, random=True)
