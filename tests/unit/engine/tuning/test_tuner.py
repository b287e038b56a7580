"""A study with trials whose scores are known beforehand."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from penult_server.core.errors import FailedPrecondition, ResourceExhausted
from penult_server.core.job_ports import WorkerMessage
from penult_server.core.jobs import JobError, LogLine, Progress
from penult_server.core.search_space import Choice, Range, Space
from penult_server.core.tuning import MAX_TRIALS, RECORD, TrialState, TuningPlan
from penult_server.engine.tuning.pruning import Referee, find_pruner, pruning_rules
from penult_server.engine.tuning.record import read_record
from penult_server.engine.tuning.search import find_search, search_ways
from penult_server.engine.tuning.slots import SlotLost, TrialFailed
from penult_server.engine.tuning.tuner import Searching, Tuner
from tests.finetune_lab import QUICK, Ear, task_in

SPACE: Space = {
    "learning_rate": Range(1e-5, 1e-1, log=True),
    "weight_decay": Range(1e-5, 1e-1, log=True),
    "augmentation": Choice(("none", "crop")),
}
COUNT, EPOCHS = 100, 4


def accuracy_of(settings: Mapping[str, Any]) -> float:
    """Best at a learning rate of 1e-3 and a weight decay of 1e-2."""
    off = abs(math.log10(settings["learning_rate"]) + 3) + 0.5 * abs(math.log10(settings["weight_decay"]) + 2)
    return max(0.0, 0.95 - 0.1 * off - 0.03 * (settings["augmentation"] == "none"))


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


class Script:
    """Trains nothing, and gives the score that its function says; each epoch a little more of it."""

    def __init__(
        self, score: Callable[[Mapping[str, Any]], float] = accuracy_of, kill_after: int = 0
    ) -> None:
        self.score = score
        self.trained: list[str] = []
        self.closed = False
        self.left = kill_after

    def train(
        self, settings: Mapping[str, Any], place: Path, verdict: Any, hear: Callable[[WorkerMessage], None]
    ) -> Mapping[str, Any]:
        self.trained.append(place.name)
        hear(LogLine("info", "hello"))
        best, now, ended = self.score(settings), 0.0, "all epochs are done"
        for epoch in range(1, EPOCHS + 1):
            now = best * (1 - 0.2 / epoch)
            self.left -= 1
            if self.left == 0:
                raise Killed
            if why := verdict(epoch, now, 1 - now):
                ended = why
                break
        return {"accuracy": now, "loss": 1 - now, "outcome": {"run": {"ended": ended}, "rate": 1.0}}

    def close(self) -> None:
        self.closed = True


def tuner(
    directory: Path, *, search: str = "random", pruner: str = "none", space: Space = SPACE,
    clock: Callable[[], float] = lambda: 0.0, pruner_options: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None, **plan: Any,
) -> tuple[Tuner, Ear]:  # fmt: skip
    directory.mkdir(exist_ok=True)
    task, ear = task_in(directory)
    way, rule = find_search(search), find_pruner(pruner)
    searching = Searching(way, way.Options(**(options or {})), COUNT)
    referee = Referee(rule.make(rule.Options(**(pruner_options or {}))), COUNT)
    made = Tuner(TuningPlan(space, **{"trials": 8, **plan}), searching, referee, QUICK, task, clock)
    return made, ear


@pytest.mark.parametrize("search", search_ways())
@pytest.mark.parametrize("pruner", pruning_rules())
def test_a_killed_study_ends_as_an_undisturbed_one(tmp_path: Path, search: str, pruner: str) -> None:
    plan: dict[str, Any] = {"search": search, "pruner": pruner, "trials": 12, "refine": 1 / 3, "seed": 3}
    if search == "grid":
        plan["options"] = {"points": 2}
    whole, _ = tuner(tmp_path / "whole", **plan)
    slot = Script()
    whole.run([slot])
    assert slot.closed
    assert [trial.stage for trial in whole.study.trials].count(2) >= 3
    for kill_after in (1, 21):
        place = tmp_path / f"killed{kill_after}"
        first, _ = tuner(place, **plan)
        with pytest.raises(Killed):
            first.run([Script(kill_after=kill_after)])
        done = [trial.number for trial in first.study.scored()]
        with open(place / RECORD, "ab") as file:
            file.write(b'{"type": "epo')  # half a line
        second, ear = tuner(place, **plan)
        slot = Script()
        second.run([slot])
        assert not {f"{number:04d}" for number in done} & set(slot.trained)
        assert [(t.point, t.epochs, t.state) for t in second.study.trials] == [
            (t.point, t.epochs, t.state) for t in whole.study.trials
        ]
        assert ear.log[0].startswith("goes on with ")


@pytest.mark.parametrize("search", search_ways())
def test_every_way_finds_better_settings_than_its_first(tmp_path: Path, search: str) -> None:
    made, ear = tuner(tmp_path, search=search, trials=27, refine=find_search(search).refine)
    made.run([Script()])
    best = made.study.best()
    assert best is not None
    assert accuracy_of(best.point) > accuracy_of(made.study.trial(1).point)
    assert accuracy_of(best.point) > 0.85
    assert ear.metrics["best_trial"] == best.number
    assert ear.metrics["trials_ended"] == 27
    assert "trial 1: hello" in ear.log
    assert len({tuple(sorted(trial.point.items())) for trial in made.study.trials}) == 27


def test_trials_run_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=60)

    class Side(Script):
        def train(self, *given: Any) -> Mapping[str, Any]:
            if len(self.trained) == 0:
                together.wait()  # breaks unless three train at once
            return super().train(*given)

    made, _ = tuner(tmp_path, search="tpe", trials=15, options={"startup_trials": 3})
    slots = [Side() for _ in range(3)]
    made.run(slots)
    assert len(made.study.scored()) == 15
    assert sorted(name for slot in slots for name in slot.trained) == [f"{n:04d}" for n in range(1, 16)]


def test_a_bad_trial_is_ended_early_and_a_good_one_is_not(tmp_path: Path) -> None:
    made, _ = tuner(
        tmp_path, pruner="median", trials=16, pruner_options={"startup_trials": 3, "warmup_epochs": 2}
    )
    made.run([Script()])
    pruned = [trial for trial in made.study.trials if trial.state is TrialState.PRUNED]
    finished = [trial for trial in made.study.trials if trial.state is TrialState.FINISHED]
    assert len(pruned) >= 3
    assert all(trial.number > 3 and len(trial.epochs) == 2 for trial in pruned)
    best = made.study.best()
    assert best in finished
    assert min(t.accuracy or 0 for t in finished[3:]) > sum(accuracy_of(t.point) for t in pruned) / len(
        pruned
    )


class Slow(Script):
    """Takes ten seconds an epoch, by a clock of its own."""

    now = 0.0

    def train(self, settings: Any, place: Path, verdict: Any, hear: Any) -> Mapping[str, Any]:
        def ticking(*given: Any) -> str:
            self.now += 10.0
            return str(verdict(*given))

        return super().train(settings, place, ticking, hear)


def test_time_ends_it_and_cuts_what_runs(tmp_path: Path) -> None:
    slow = Slow()
    made, _ = tuner(tmp_path, trials=100, seconds=100.0, clock=lambda: slow.now)
    made.run([slow])
    assert [trial.state for trial in made.study.trials] == [TrialState.FINISHED] * 2 + [TrialState.CUT]
    assert [trial.seconds for trial in made.study.trials] == [40, 40, 20]
    later, _ = tuner(tmp_path, trials=100, seconds=100.0, clock=lambda: 1e6)
    slot = Script()
    later.run([slot])
    assert slot.trained == []


def test_progress_counts_trials_and_seconds_where_they_are_all_the_budget(tmp_path: Path) -> None:
    for trials, unit, total in ((3, "trials", 3), (MAX_TRIALS, "seconds", 100)):
        slow = Slow()
        clock = functools.partial(getattr, slow, "now")
        made, ear = tuner(tmp_path / unit, trials=trials, seconds=100.0, clock=clock)
        made.run([slow])
        told = [message for message in ear.heard if isinstance(message, Progress)]
        assert {(progress.unit, progress.total) for progress in told} == {(unit, total)}
        assert (told[0].done, told[-1].done) == (0, total)


def test_a_trial_that_takes_its_process_down_twice_fails_and_the_others_go_on(tmp_path: Path) -> None:
    class Fragile(Script):
        def train(self, settings: Any, place: Path, *rest: Any) -> Mapping[str, Any]:
            if place.name == "0002" or (place.name == "0003" and "0003" not in self.trained):
                self.trained.append(place.name)
                raise SlotLost("exit status -9")
            return super().train(settings, place, *rest)

    made, ear = tuner(tmp_path, trials=4)
    slot = Fragile()
    made.run([slot])
    assert slot.trained == ["0001", "0002", "0002", "0003", "0003", "0004"]
    assert [trial.state.value for trial in made.study.trials] == [
        "finished",
        "failed",
        "finished",
        "finished",
    ]
    assert made.study.trial(2).reason == "TRIAL_KILLED"
    assert any("its process was lost (exit status -9)" in line for line in ear.log)


def test_settings_that_do_not_go_together_are_a_failed_trial(tmp_path: Path) -> None:
    space: Space = {"mixup": Choice((0.0, 0.2)), "batch_size": Choice((7, 8))}
    made, _ = tuner(tmp_path, space=space, search="grid", trials=4)
    made.run([Script(lambda settings: 0.5)])
    failed = [trial for trial in made.study.trials if trial.state is TrialState.FAILED]
    assert [trial.point for trial in failed] == [{"mixup": 0.2, "batch_size": 7}]
    assert failed[0].reason == "BAD_SETTING"


def test_a_study_without_hope_ends_and_a_full_disk_is_nobodys_fault(tmp_path: Path) -> None:
    def failing(reason: str) -> Script:
        def score(settings: Any) -> float:
            raise TrialFailed(JobError(reason, "it said so"))

        return Script(score)

    made, _ = tuner(tmp_path / "a", trials=50)
    slot = failing("TRAINING_DIVERGED")
    with pytest.raises(FailedPrecondition, match="TRAINING_DIVERGED: it said so") as refused:
        made.run([slot])
    assert refused.value.reason == "TRIALS_FAILED"
    assert len(slot.trained) == 5

    made, _ = tuner(tmp_path / "b", trials=50)
    with pytest.raises(ResourceExhausted) as full:
        made.run([failing("DISK_FULL")])
    assert full.value.reason == "DISK_FULL"
    again, _ = tuner(tmp_path / "b", trials=2)
    again.run([Script()])
    assert [trial.state.value for trial in again.study.trials] == ["finished", "finished"]


def test_only_the_best_keeps_its_weights(tmp_path: Path) -> None:
    class Writing(Script):
        def train(self, settings: Any, place: Path, *rest: Any) -> Mapping[str, Any]:
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            for name in ("plain.safetensors", "last.safetensors", "curves.jsonl"):
                (tmp_path / place / name).touch()
            return super().train(settings, place, *rest)

    made, _ = tuner(tmp_path, trials=5)
    made.run([Writing()])
    best = made.study.best()
    assert best is not None
    left = sorted(
        str(file.relative_to(tmp_path / "trials")) for file in (tmp_path / "trials").rglob("*.safetensors")
    )
    assert left == [f"{best.number:04d}/plain.safetensors"]
    assert len([*(tmp_path / "trials").rglob("curves.jsonl")]) == 5
    assert read_record(tmp_path / RECORD)[-1].type == "end"


def test_names_that_are_not_there_get_near_ones() -> None:
    for find, name, near in ((find_search, "randon", "random"), (find_pruner, "medain", "median")):
        with pytest.raises(Exception, match="there is no") as refused:
            find(name)
        assert near in refused.value.hint  # type: ignore[attr-defined]
