"""Every combination of evenly spaced values, in an order that covers the space from the start."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field

from penult_server.core.search_space import Point, Space, grid
from penult_server.core.tuning import Study
from penult_server.engine.tuning.options import Options
from penult_server.engine.tuning.search import SearchWay, search_way


class GridOptions(Options):
    """Options of GridSearch."""

    points: int = Field(3, ge=2, le=100, description="Values of each range.")


@search_way("grid")
class GridSearch(SearchWay):
    """A grid, and a closer one around its best point."""

    Options = GridOptions

    def points(self, space: Space, options: GridOptions) -> int:
        """See SearchWay."""
        return math.prod(len(parameter.points(options.points)) for parameter in space.values())

    def propose(self, study: Study, stage: int, options: GridOptions, count: int) -> Point | None:
        """See SearchWay."""
        points, tried = grid(study.spaces[stage - 1], options.points), study.tried()
        order = np.random.default_rng([study.plan.seed, stage]).permutation(len(points))
        return next((points[n] for n in order if points[n] not in tried), None)
