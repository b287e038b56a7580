"""Optuna's tree-structured Parzen estimator: draws where good trials were denser than the others.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (NeurIPS 24).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial
from pydantic import Field

from penult_server.core.search_space import Choice, Parameter, Point, Range, Value, contains
from penult_server.core.tuning import Study, Trial, TrialState, objective
from penult_server.engine.tuning.options import Options
from penult_server.engine.tuning.random_search import RandomSearch
from penult_server.engine.tuning.search import SearchWay, search_way

optuna.logging.set_verbosity(optuna.logging.ERROR)
_STATES = {
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.FINISHED: OptunaState.COMPLETE,
    TrialState.CUT: OptunaState.PRUNED,
    TrialState.PRUNED: OptunaState.PRUNED,
    # To Optuna a failure says nothing of a point; one that diverged is the worst there is: pruned, no score.
    TrialState.FAILED: OptunaState.PRUNED,
}


class TPEOptions(Options):
    """Options of TPESearch."""

    startup_trials: int = Field(6, ge=1, le=100, description="Trials drawn at random first.")


@search_way("tpe")
class TPESearch(SearchWay):
    """Narrows by itself, so that by default there is no second stage."""

    Options = TPEOptions
    refine = 0.0

    def propose(self, study: Study, stage: int, options: TPEOptions, count: int) -> Point | None:
        """See SearchWay."""
        space = study.spaces[stage - 1]
        known = [trial for trial in study.trials if contains(space, trial.point)]
        if sum(trial.scored for trial in known) < options.startup_trials:
            return RandomSearch().propose(study, stage, Options(), count)
        distributions = {name: _distribution(space[name]) for name in sorted(space)}
        seed = int(np.random.default_rng([study.plan.seed, len(study.trials)]).integers(2**31))
        sampler = optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=0,
            multivariate=True,
            constant_liar=True,
        )
        replayed = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in known:
            replayed.add_trial(_to_optuna(trial, distributions, count))
        asked = replayed.ask(fixed_distributions=distributions).params
        point = {name: _rounded(space[name], asked[name]) for name in sorted(space)}
        return point if point not in study.tried() else RandomSearch().propose(study, stage, Options(), count)


def _to_optuna(
    trial: Trial, distributions: dict[str, BaseDistribution], count: int
) -> optuna.trial.FrozenTrial:
    state = _STATES[trial.state]
    value = None
    if state is OptunaState.COMPLETE:
        assert trial.accuracy is not None
        assert trial.loss is not None
        value = objective(trial.accuracy, trial.loss, count)
    return create_trial(
        state=state,
        value=value,
        params={name: trial.point[name] for name in distributions},
        distributions=distributions,
        intermediate_values={
            n: objective(accuracy, loss, count) for n, (accuracy, loss) in enumerate(trial.epochs, 1)
        },
    )


def _distribution(parameter: Parameter) -> BaseDistribution:
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.options)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _rounded(parameter: Parameter, value: Any) -> Value:
    """As other ways round, so that a point says the same wherever it came from."""
    return parameter.at(parameter.place(value)) if isinstance(parameter, Range) else value
