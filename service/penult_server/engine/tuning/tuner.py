"""The trials of a job, from the first to the last: who is next, who is ended early, what is kept."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penult_server.core.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from penult_server.core.job_ports import WorkerMessage
from penult_server.core.jobs import JobError, LogLine
from penult_server.core.tuning import (
    RECORD,
    EpochDone,
    StageBegan,
    Study,
    Trial,
    TrialBegan,
    TrialEnded,
    TrialState,
    TuningEvent,
    TuningPlan,
)
from penult_server.engine.finetune.settings import parse_settings
from penult_server.engine.tuning.pruning import Referee
from penult_server.engine.tuning.record import Record, read_record
from penult_server.engine.tuning.search import SearchWay
from penult_server.engine.tuning.slots import Slot, SlotLost, TrialFailed, lost
from penult_server.engine.workers.task import Task

TRIALS = "trials"
PRUNED, CUT = "pruned: other trials were better after as many epochs", "the time for tuning is over"
"""Why a run ended; kept in its checkpoint, so that a crash does not change what a trial is called."""
_STATES = {PRUNED: TrialState.PRUNED, CUT: TrialState.CUT}
_ATTEMPTS = 2
_FATAL = ("DISK_FULL",)
"""Reasons that are not the fault of a trial: the job fails, and resuming it goes on with the same trial."""


@dataclasses.dataclass(frozen=True)
class Searching:
    """How points are found: a way with its options, and the number of validation images."""

    way: SearchWay
    options: Any
    count: int


class Tuner:
    """Runs a study in slots; what has happened is on disk before anything follows from it."""

    def __init__(
        self,
        plan: TuningPlan,
        searching: Searching,
        referee: Referee,
        settings: Mapping[str, Any],
        task: Task,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes up the record of an earlier run. `settings` are those that all trials have."""
        self.study = Study(plan)
        self._searching = searching
        self._referee = referee
        self._settings = settings
        self._task = task
        events = read_record(task.directory / RECORD)
        for event in events:
            self.study.apply(event)
            referee.hear(event)
        if events:
            task.log(
                f"goes on with {len(self.study.trials)} trials, {len(self.study.unfinished())} under way"
            )
        self._record = Record(task.directory / RECORD)
        self._to_go_on = self.study.unfinished()
        self._lock = threading.Lock()
        self._began, self._clock = clock() - self.study.clock, clock
        self._closing = False

    def run(self, slots: Sequence[Slot]) -> None:
        """Until the budget is used up.

        Raises:
            FailedPrecondition: TRIALS_FAILED, the first trials failed and none has a score.
            ResourceExhausted: DISK_FULL.
        """
        try:
            with concurrent.futures.ThreadPoolExecutor(len(slots)) as pool:
                try:
                    serving = [pool.submit(self._serve, slot) for slot in slots]
                    for future in concurrent.futures.as_completed(serving):
                        future.result()
                finally:
                    self._closing = True
                    for slot in slots:
                        slot.close()
        finally:
            self._record.close()

    def _serve(self, slot: Slot) -> None:
        while not self._closing and (trial := self._next()) is not None:
            self._train(slot, trial)

    def _now(self) -> float:
        return self._clock() - self._began

    def _next(self) -> Trial | None:
        """The trial to train now; None where there is none."""
        with self._lock:
            if self._to_go_on:
                return self._to_go_on.pop(0)
            if hopeless := self.study.hopeless():
                raise FailedPrecondition(
                    "TRIALS_FAILED",
                    f"no trial has a score, and the last of them failed with {hopeless.reason}: "
                    f"{hopeless.message}",
                    hint="look at the job's log; other settings or another space",
                )
            while (stage := self.study.next_stage(self._now())) is not None:
                if stage > len(self.study.spaces):
                    self._happened(StageBegan(stage, self.study.refined(), self._now()))
                    self._task.log("the second stage searches around the best trial so far")
                found = self._searching
                point = found.way.propose(self.study, stage, found.options, found.count)
                if point is not None:
                    number = len(self.study.trials) + 1
                    self._happened(TrialBegan(number, stage, point, self._now()))
                    self._progress()
                    return self.study.trial(number)
                self.study.exhausted(stage)
            return None

    def _train(self, slot: Slot, trial: Trial) -> None:
        said = ", ".join(f"{name}={value}" for name, value in sorted(trial.point.items()))
        self._task.log(f"trial {trial.number}: {said}")

        def verdict(epoch: int, accuracy: float, loss: float) -> str:
            with self._lock:
                prune = self._happened(EpochDone(trial.number, epoch, accuracy, loss, self._now()))
                self._task.metrics(
                    {"trial": trial.number, "epoch": epoch, "validation_accuracy": accuracy,
                     "validation_loss": loss}, trial.number,
                )  # fmt: skip
                self._advance()
                if prune:
                    return PRUNED
                return CUT if self.study.time_is_over(self._now()) else ""

        try:
            settings = parse_settings({**self._settings, **trial.point}).model_dump(mode="json")
            made = self._attempt(slot, settings, place_of(trial), verdict, trial)
        except InvalidArgument as error:
            self._end(trial, TrialState.FAILED, JobError(error.reason, error.message, error.hint), {})
        except TrialFailed as error:
            if error.why.reason in _FATAL:
                raise ResourceExhausted(error.why.reason, error.why.message, hint=error.why.hint) from error
            self._end(trial, TrialState.FAILED, error.why, {})
        else:
            ended = made["outcome"]["run"]["ended"]
            self._end(trial, _STATES.get(ended, TrialState.FINISHED), JobError("", ""), made)

    def _attempt(
        self, slot: Slot, settings: Mapping[str, Any], place: Path, verdict: Any, trial: Trial
    ) -> Mapping[str, Any]:
        def hear(message: WorkerMessage) -> None:
            if isinstance(message, LogLine):  # progress and curves of single trials are not for the job
                self._task.log(f"trial {trial.number}: {message.text}", message.level)

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return slot.train(settings, place, verdict, hear)
            except SlotLost as error:
                if self._closing:
                    raise
                self._task.log(f"trial {trial.number}: its process was lost ({error})", "warning")
                if attempt == _ATTEMPTS:
                    raise TrialFailed(lost(error)) from error
        raise AssertionError("unreachable")

    def _end(self, trial: Trial, state: TrialState, why: JobError, made: Mapping[str, Any]) -> None:
        with self._lock:
            now = self._now()
            self._happened(
                TrialEnded(
                    trial.number, state, made.get("accuracy"), made.get("loss"), now - trial.began,
                    why.reason, why.message, made.get("outcome", {}), now,
                )
            )  # fmt: skip
            self._tidy()
            self._progress()
            best = self.study.best()
            score = "no score" if trial.accuracy is None else f"{100 * trial.accuracy:.1f} %"
            why_ended = f" ({why.reason}: {why.message})" if why.reason else ""
            self._task.log(
                f"trial {trial.number} {state.value}: {score}{why_ended}"
                + ("" if best is None else f"; best so far: trial {best.number}")
            )

    def _happened(self, event: TuningEvent) -> bool:
        self._record.append(event)
        self.study.apply(event)
        self._task.saved()
        return self._referee.hear(event)

    def _progress(self) -> None:
        trials, ended = self.study.trials, self.study.ended
        self._advance()
        best = self.study.best()
        values = {
            "trials_ended": ended,
            "trials_pruned": sum(trial.state is TrialState.PRUNED for trial in trials),
            "trials_failed": sum(trial.state is TrialState.FAILED for trial in trials),
        }
        if best is not None:
            values |= {"best_trial": best.number, "best_validation_accuracy": best.accuracy}  # type: ignore[dict-item]
        self._task.metrics(values, ended)

    def _advance(self) -> None:
        """Tells how much of the budget is used up."""
        plan, phase = self.study.plan, "coarse" if len(self.study.spaces) == 1 else "refine"
        if plan.timed:
            used = min(self._now(), plan.seconds)
            self._task.progress(int(used), int(plan.seconds), unit="seconds", phase=phase)
        else:
            self._task.progress(self.study.ended, plan.trials, unit="trials", phase=phase)

    def _tidy(self) -> None:
        """Only the best trial keeps its weights; none that ended needs its checkpoint."""
        best = self.study.best()
        for trial in self.study.trials:
            if trial.state is TrialState.RUNNING:
                continue
            place = self._task.directory / place_of(trial)
            for file in place.glob("*.safetensors"):
                if trial is not best or file.name == "last.safetensors":
                    file.unlink()


def place_of(trial: Trial) -> Path:
    """Where a trial trains, within the job's directory."""
    return Path(TRIALS) / f"{trial.number:04d}"
