"""The head `logistic_regression`: multinomial, L2-regularised; what CLIP and DINOv2 probe features with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from penult_server.engine.heads.base import Grid, HeadKind, Point, Problem, Solver
from penult_server.engine.heads.grid import c_grid
from penult_server.engine.heads.linear import LinearScorer
from penult_server.engine.heads.parameters import SearchedParameters
from penult_server.engine.heads.registry import head


@head("logistic_regression")
class LogisticRegression(HeadKind):
    """Cross-entropy of the softmax over classes; multi-label: of each label by itself."""

    Parameters = SearchedParameters

    def grid(self, parameters: Any, problem: Problem) -> Grid | Point:
        """See base.HeadKind."""
        return c_grid(parameters)

    def prepare(self, problem: Problem, parameters: Any) -> Solver:
        """See base.HeadKind."""
        from penult_server.engine.heads.path import Path, centred

        columns = centred(problem)
        return Path(problem, "logistic" if problem.multi_label else "softmax", lambda point: columns)

    def restore(self, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LinearScorer:
        """See base.HeadKind."""
        return LinearScorer.restore(config, arrays)
