"""What a tuning job has done and does next: its trials, its stages and its budget. No training in here.

The truth is a list of events. `Study.apply` makes the state of them, while the job runs and again after a
crash, so that both are the same.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from penult_server.core.search_space import Point, Space, Value, narrowed

KIND = "tune"
RECORD = "trials.jsonl"
"""The study, in the job's directory and among the files of the version."""
DEFAULT_TRIALS = 20
MAX_TRIALS = 1000
HOPELESS = 5
"""Trials that may fail before one has a score; then the job fails with the reason of the last."""
_GOOD_SHARE = 0.25
_FEWEST_GOOD = 2


class TrialState(str, enum.Enum):
    """Where a trial is."""

    RUNNING = "running"
    FINISHED = "finished"
    PRUNED = "pruned"
    """Ended early: others were better after as many epochs."""
    CUT = "cut"
    """Ended early: the time of the job was over."""
    FAILED = "failed"
    """It diverged, ran out of memory, or its settings do not go together; `reason` says which."""


@dataclasses.dataclass(frozen=True, slots=True)
class StageBegan:
    """Trials of this stage come from this space; the first stage has the space of the plan."""

    stage: int
    space: Space
    clock: float
    type: ClassVar[str] = "stage"


@dataclasses.dataclass(frozen=True, slots=True)
class TrialBegan:
    """A new trial; they are numbered from 1."""

    number: int
    stage: int
    point: Point
    clock: float
    type: ClassVar[str] = "trial"


@dataclasses.dataclass(frozen=True, slots=True)
class EpochDone:
    """A trial was judged on the validation images."""

    number: int
    epoch: int
    accuracy: float
    loss: float
    clock: float
    type: ClassVar[str] = "epoch"


@dataclasses.dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is over. `accuracy` and `loss` are those of the best weights that it trained, None without any.

    `outcome` is whatever is needed to make a model of it.
    """

    number: int
    state: TrialState
    accuracy: float | None
    loss: float | None
    seconds: float
    reason: str
    message: str
    outcome: Mapping[str, Any]
    clock: float
    type: ClassVar[str] = "end"


TuningEvent: TypeAlias = StageBegan | TrialBegan | EpochDone | TrialEnded


@dataclasses.dataclass
class Trial:
    """One training with settings of its own. `epochs` holds accuracy and loss on the validation images."""

    number: int
    stage: int
    point: Point
    state: TrialState = TrialState.RUNNING
    epochs: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    accuracy: float | None = None
    loss: float | None = None
    seconds: float = 0.0
    reason: str = ""
    message: str = ""
    outcome: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    began: float = 0.0
    """On the clock of the job."""

    @property
    def scored(self) -> bool:
        """Whether it ended with weights that were judged."""
        return self.state is not TrialState.RUNNING and self.accuracy is not None

    @property
    def score(self) -> tuple[float, float]:
        """Accuracy, then the lower loss; of a trial that is scored."""
        assert self.accuracy is not None
        assert self.loss is not None
        return self.accuracy, -self.loss


@dataclasses.dataclass(frozen=True, slots=True)
class TuningPlan:
    """What is to be done.

    Attributes:
        space: of the first stage.
        trials: most to begin.
        seconds: of work after which none begins and those that run end with their epoch; 0 for any.
        refine: share of the budget that goes to a second stage around the best; 0 for none.
        seed: of the draws.
    """

    space: Space
    trials: int
    seconds: float = 0.0
    refine: float = 0.0
    seed: int = 0

    @property
    def timed(self) -> bool:
        """Whether time alone is the budget."""
        return self.seconds > 0 and self.trials >= MAX_TRIALS

    @property
    def coarse_trials(self) -> int:
        """Trials of the first stage, at least one."""
        return max(1, self.trials - int(self.trials * self.refine))


class Study:
    """The trials of a job."""

    def __init__(self, plan: TuningPlan) -> None:
        """Nothing has happened yet."""
        self.plan = plan
        self.trials: list[Trial] = []
        self.spaces: list[Space] = [plan.space]
        self.clock = 0.0
        self._exhausted: set[int] = set()

    def apply(self, event: TuningEvent) -> None:
        """It has happened. An epoch that is known already changes nothing: a trial went on from before it."""
        self.clock = max(self.clock, event.clock)
        if isinstance(event, StageBegan):
            self.spaces.append(event.space)
        elif isinstance(event, TrialBegan):
            self.trials.append(Trial(event.number, event.stage, event.point, began=event.clock))
        elif isinstance(event, EpochDone):
            epochs = self.trial(event.number).epochs
            if event.epoch == len(epochs) + 1:
                epochs.append((event.accuracy, event.loss))
        else:
            trial = self.trial(event.number)
            trial.state, trial.accuracy, trial.loss = event.state, event.accuracy, event.loss
            trial.seconds, trial.reason, trial.message = event.seconds, event.reason, event.message
            trial.outcome = event.outcome

    def trial(self, number: int) -> Trial:
        """By number."""
        return self.trials[number - 1]

    def unfinished(self) -> list[Trial]:
        """Those that run; after a crash those that have to go on."""
        return [trial for trial in self.trials if trial.state is TrialState.RUNNING]

    @property
    def ended(self) -> int:
        """How many have ended, one way or another."""
        return len(self.trials) - len(self.unfinished())

    def scored(self) -> list[Trial]:
        """Those that ended with a score, in the order of their numbers."""
        return [trial for trial in self.trials if trial.scored]

    def best(self) -> Trial | None:
        """The trial with the best score; of equal ones the first."""
        return max(self.scored(), key=lambda trial: trial.score, default=None)

    def exhausted(self, stage: int) -> None:
        """The search has no more points for this stage, as a grid that is done."""
        self._exhausted.add(stage)

    def time_is_over(self, clock: float) -> bool:
        """Whether the budget of time is used up after `clock` seconds of work."""
        return bool(self.plan.seconds) and clock >= self.plan.seconds

    def next_stage(self, clock: float) -> int | None:
        """Of which stage the next trial is; None where none is to begin.

        The second stage begins once its share of the budget is all that is left, and a trial has a score to
        go by. Before any has one, time does not end the first.
        """
        best = self.best()
        if len(self.trials) >= self.plan.trials or (best is not None and self.time_is_over(clock)):
            return None
        if len(self.spaces) > 1:
            return None if 2 in self._exhausted else 2
        used_up = len(self.trials) >= self.plan.coarse_trials or 1 in self._exhausted
        if self.plan.seconds:
            used_up = used_up or clock >= self.plan.seconds * (1 - self.plan.refine)
        if used_up and best is not None and self.plan.refine:
            return 2
        return None if 1 in self._exhausted else 1

    def refined(self) -> Space:
        """The space of the second stage. Some trial has a score."""
        ranked = sorted(self.scored(), key=lambda trial: trial.score, reverse=True)
        good = ranked[: max(_FEWEST_GOOD, round(_GOOD_SHARE * len(ranked)))]
        return narrowed(self.plan.space, ranked[0].point, [trial.point for trial in good])

    def hopeless(self) -> Trial | None:
        """The last of the trials that failed, where so many have and none has a score."""
        failed = [trial for trial in self.trials if trial.state is TrialState.FAILED]
        enough = len(failed) >= min(HOPELESS, self.plan.trials)
        return failed[-1] if enough and not self.scored() else None

    def tried(self) -> list[dict[str, Value]]:
        """The points so far."""
        return [dict(trial.point) for trial in self.trials]


def objective(accuracy: float, loss: float, count: int) -> float:
    """One number that orders as accuracy and then the lower loss do.

    Args:
        accuracy: a share of `count` images.
        loss: mean cross-entropy, >= 0.
        count: validation images.
    """
    return accuracy + 1.0 / ((1.0 + max(loss, 0.0)) * 2 * max(count, 1))
