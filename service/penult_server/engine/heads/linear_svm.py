"""The head `linear_svm`: L2-regularised squared hinge, one class against the rest.

The objective is that of LIBLINEAR (Fan et al. 2008) and scikit-learn's LinearSVC, with its penalised bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from penult_server.engine.heads.base import Grid, HeadKind, Point, Problem, Solver
from penult_server.engine.heads.grid import c_grid
from penult_server.engine.heads.linear import LinearScorer
from penult_server.engine.heads.parameters import SearchedParameters
from penult_server.engine.heads.registry import head


@head("linear_svm")
class LinearSvm(HeadKind):
    """Squared hinge of each class against the rest."""

    Parameters = SearchedParameters

    def grid(self, parameters: Any, problem: Problem) -> Grid | Point:
        """See base.HeadKind."""
        return c_grid(parameters)

    def prepare(self, problem: Problem, parameters: Any) -> Solver:
        """See base.HeadKind."""
        from penult_server.engine.heads.path import Path, augmented

        columns = augmented(problem)
        return Path(problem, "squared_hinge", lambda point: columns)

    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LinearScorer:
        """See base.HeadKind."""
        return LinearScorer.restore(config, arrays)
