"""Who ends trials early, by the validation score of each epoch: Optuna's pruners, by name."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import optuna
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState as OptunaState
from pydantic import Field

from penult_server.core.tuning import EpochDone, TrialBegan, TrialEnded, TrialState, TuningEvent, objective
from penult_server.engine.tuning.options import Options, unknown

optuna.logging.set_verbosity(optuna.logging.ERROR)
_rules: dict[str, PruningRule] = {}
R = TypeVar("R", bound="PruningRule")


class PruningRule(abc.ABC):
    """Makes a pruner."""

    Options: ClassVar[type[Options]] = Options

    @abc.abstractmethod
    def make(self, options: Any) -> optuna.pruners.BasePruner:
        """Optuna's, from an instance of `Options`."""


def pruning_rule(name: str) -> Callable[[type[R]], type[R]]:
    """Registers the decorated class under the name that clients use."""

    def register(rule: type[R]) -> type[R]:
        _rules[name] = rule()
        return rule

    return register


def pruning_rules() -> list[str]:
    """Names of all that are registered, sorted."""
    return sorted(_rules)


def find_pruner(name: str) -> PruningRule:
    """By name. Raises InvalidArgument PRUNER_UNKNOWN with near names."""
    if name not in _rules:
        raise unknown("pruner", name, _rules)
    return _rules[name]


@pruning_rule("none")
class NoPruning(PruningRule):
    """Every trial trains for all of its epochs."""

    def make(self, options: Options) -> optuna.pruners.BasePruner:
        """See PruningRule."""
        return optuna.pruners.NopPruner()


class MedianOptions(Options):
    """Options of MedianPruning."""

    startup_trials: int = Field(4, ge=1, le=100, description="Trials that are never ended early.")
    warmup_epochs: int = Field(2, ge=0, le=1000, description="Epochs of each trial before it may be ended.")


@pruning_rule("median")
class MedianPruning(PruningRule):
    """Ends a trial whose best epoch so far is below the median of the others after as many epochs."""

    Options = MedianOptions

    def make(self, options: MedianOptions) -> optuna.pruners.BasePruner:
        """See PruningRule."""
        return optuna.pruners.MedianPruner(options.startup_trials, options.warmup_epochs)


class AshaOptions(Options):
    """Options of AshaPruning."""

    min_epochs: int = Field(2, ge=1, le=1000, description="Epochs of each trial before it may be ended.")
    reduction: int = Field(3, ge=2, le=10, description="One of so many goes on, each time at so many epochs.")


@pruning_rule("asha")
class AshaPruning(PruningRule):
    """Successive halving without waiting (Li et al. 2020, arXiv:1810.05934)."""

    Options = AshaOptions

    def make(self, options: AshaOptions) -> optuna.pruners.BasePruner:
        """See PruningRule."""
        return optuna.pruners.SuccessiveHalvingPruner(options.min_epochs, options.reduction)


class Referee:
    """Hears every event of a study in its order, those before a crash too, and says whom to end."""

    def __init__(self, pruner: optuna.pruners.BasePruner, count: int) -> None:
        """`count`: validation images."""
        self._study = optuna.create_study(direction="maximize", pruner=pruner)
        self._running: dict[int, OptunaTrial] = {}
        self._epochs: dict[int, int] = {}
        self._count = count

    def hear(self, event: TuningEvent) -> bool:
        """True where it is an epoch after which its trial should end."""
        if isinstance(event, TrialBegan):
            self._running[event.number] = self._study.ask()
        elif isinstance(event, TrialEnded):
            self._end(self._running.pop(event.number), event)
        elif isinstance(event, EpochDone):
            trial = self._running[event.number]
            if event.epoch > self._epochs.get(event.number, 0):
                self._epochs[event.number] = event.epoch
                trial.report(objective(event.accuracy, event.loss, self._count), event.epoch)
            return trial.should_prune()
        return False

    def _end(self, trial: OptunaTrial, event: TrialEnded) -> None:
        if event.accuracy is None or event.loss is None:
            self._study.tell(trial, state=OptunaState.FAIL)
        elif event.state is TrialState.FINISHED:  # only these are what a median is taken of
            self._study.tell(trial, objective(event.accuracy, event.loss, self._count))
        else:
            self._study.tell(trial, state=OptunaState.PRUNED)
