"""The job kind `tune`: from a snapshot and a space of settings to the model of the best trial."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

import torch

from penult_server.core.errors import FailedPrecondition
from penult_server.core.finetune import TRAINING
from penult_server.core.publish_finetuned import MODEL_DIRECTORY
from penult_server.core.search_space import Choice, Space, as_given, from_json
from penult_server.core.tuning import KIND, RECORD, Study, Trial, TuningPlan
from penult_server.core.tuning_notes import notes
from penult_server.engine.finetune.job import finish_job
from penult_server.engine.finetune.prepared import Examined, examine_job, prepare_run
from penult_server.engine.finetune.run import Run
from penult_server.engine.finetune.settings import FineTuneSettings, parse_settings
from penult_server.engine.machine import cores
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.tuning.options import checked
from penult_server.engine.tuning.plot import plot_trials
from penult_server.engine.tuning.pruning import Referee, find_pruner
from penult_server.engine.tuning.search import find_search
from penult_server.engine.tuning.slots import ProcessSlot, Slot
from penult_server.engine.tuning.trial import fresh
from penult_server.engine.tuning.tuner import Searching, Tuner, place_of
from penult_server.engine.workers.kinds import job_kind
from penult_server.engine.workers.task import Task

PICTURE = "trials.png"


@job_kind(KIND, resumable=True)
def tune_job(task: Task, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Trains trials on the snapshot in the job's directory, and makes a model of the best.

    `parameters`: those of `finetune_job`, whose settings all trials have in common, and `tuning`: `space` (of
    search_space.to_json), `search`, `search_options`, `pruner`, `pruner_options`, `trials`, `seconds`,
    `refine`, `parallel` (0: one for each GPU).

    Returns:
        What `finetune_job` does, of the best trial, and `tuning`: every trial and what they say.
    """
    tune_malloc()
    device = torch.device(parameters.get("device", "cpu"))
    given, base = parameters["tuning"], parse_settings(parameters["settings"])
    space = from_json(given["space"])
    examined = examine_job(task, parameters, base)
    count, shared = len(examined.division.validation), task.directory / TRAINING
    prepare_run(fresh(examined), _with_probe(base, space), shared, shared, device, task)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # for the trials
    plan = TuningPlan(space, given["trials"], given["seconds"], given["refine"], base.seed)
    way, rule = find_search(given["search"]), find_pruner(given["pruner"])
    options = checked(way.Options, given["search_options"], "search_options")
    pruner = rule.make(checked(rule.Options, given["pruner_options"], "pruner_options"))
    tuner = Tuner(plan, Searching(way, options, count), Referee(pruner, count), parameters["settings"], task)
    tuner.run(_slots(task, parameters, device, min(given["trials"], given["parallel"] or _devices(device))))
    study, best = tuner.study, tuner.study.best()
    if best is None:
        failed = study.trials[-1]
        raise FailedPrecondition(
            "TRIALS_FAILED", f"no trial has a score: {failed.reason}: {failed.message}", hint="the job's log"
        )
    return _made(task, parameters, examined, study, best, device)


def _made(
    task: Task,
    parameters: Mapping[str, Any],
    examined: Examined,
    study: Study,
    best: Trial,
    device: torch.device,
) -> Mapping[str, Any]:
    """The model of the best trial, as its training left it, with the table and the picture beside it."""
    settings = parse_settings({**parameters["settings"], **best.point})
    place = task.directory / place_of(best)
    job = prepare_run(fresh(examined), settings, place, task.directory / TRAINING, device, task)
    run = Run(**best.outcome["run"])
    result = finish_job(job, run, task)
    division = examined.division
    said = notes(study, best, len(division.validation), tested=bool(len(division.test)))
    if run.winner() == "probe":
        said.append("no trial is better than the linear probe that all of them start from: the model is that")
    for note in said:
        task.log(note)
    tuning = {**described(study), "best_trial": best.number, "notes": said}
    tuning |= {name: parameters["tuning"][name] for name in ("search", "pruner")}
    tuning["validation_count"] = len(division.validation)
    target = task.directory / MODEL_DIRECTORY
    (target / "tuning.json").write_text(json.dumps(tuning, indent=1), encoding="utf-8")
    shutil.copyfile(task.directory / RECORD, target / RECORD)
    plot_trials(study, target / PICTURE)
    return {**result, "tuning": tuning}


def described(study: Study) -> dict[str, Any]:
    """Every trial, as the message Tuning has it."""
    return {
        "trials": [
            {
                "number": trial.number,
                "stage": trial.stage,
                "settings": dict(trial.point),
                "state": trial.state.value,
                "accuracies": [accuracy for accuracy, _ in trial.epochs],
                "losses": [loss for _, loss in trial.epochs],
                **({} if trial.accuracy is None else {"accuracy": trial.accuracy, "loss": trial.loss}),
                "seconds": trial.seconds,
                "reason": trial.reason,
                "message": trial.message,
            }
            for trial in study.trials
        ],
        "spaces": [as_given(space) for space in study.spaces],
        "seconds": study.clock,
    }


def _with_probe(base: FineTuneSettings, space: Space) -> FineTuneSettings:
    """With the probe computed here, before several trials may want it at once."""
    parameter = space.get("linear_probe")
    wanted = base.linear_probe or (isinstance(parameter, Choice) and True in parameter.options)
    return base.model_copy(update={"linear_probe": wanted})


def _devices(device: torch.device) -> int:
    return max(1, torch.cuda.device_count()) if device.type == "cuda" else 1


def _slots(task: Task, parameters: Mapping[str, Any], device: torch.device, number: int) -> list[Slot]:
    if device.type == "cuda":
        names = [f"cuda:{n % _devices(device)}" for n in range(number)]
        return [ProcessSlot(task.directory, parameters, name, 0) for name in names]
    threads = max(1, cores() // number) if number > 1 else 0
    return [ProcessSlot(task.directory, parameters, str(device), threads) for _ in range(number)]
