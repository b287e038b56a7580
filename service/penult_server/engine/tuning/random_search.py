"""Points drawn at random: with few trials and many parameters better than a grid.

Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization" (JMLR 13).
"""

from __future__ import annotations

from penult_server.core.search_space import Point, draw
from penult_server.core.tuning import Study
from penult_server.engine.tuning.options import Options
from penult_server.engine.tuning.search import SearchWay, search_way

_DRAWS = 200
"""For each trial; past them the space has nothing left that was not tried."""


@search_way("random")
class RandomSearch(SearchWay):
    """Even along each range, or along its logarithm."""

    def propose(self, study: Study, stage: int, options: Options, count: int) -> Point | None:
        """See SearchWay."""
        tried = study.tried()
        first = len(tried) * _DRAWS
        for number in range(first, first + _DRAWS):
            point = draw(study.spaces[stage - 1], study.plan.seed, number)
            if point not in tried:
                return point
        return None
