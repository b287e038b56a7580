"""Use case: fine-tune many times with different settings, and publish the best."""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.errors import InvalidArgument
from penult_server.core.finetune_model import FineTune, FineTuning
from penult_server.core.finetune_ports import FineTuneRecipes, JobPlot
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.model_ports import Artifacts
from penult_server.core.models import version_as_result
from penult_server.core.publish_finetuned import PublishFineTuned
from penult_server.core.search_space import Choice, Space, Value, from_json, parse_space, to_json
from penult_server.core.tune_ports import TuningMethods, TuningPlots
from penult_server.core.tuning import DEFAULT_TRIALS, KIND, MAX_TRIALS, RECORD

MAX_PARALLEL = 64
_MOST_REFINED = 0.9


@dataclasses.dataclass(frozen=True, slots=True)
class Tuning:
    """What a caller wants.

    Attributes:
        base: the fine-tuning; its settings are common to all trials.
        space: settings that vary, see search_space.parse_space; empty for the usual ones.
        methods: `search`, `search_options`, `pruner`, `pruner_options`; what is left out is the usual one.
        trials: most to train; 0 for the usual number, or as many as fit into `minutes`.
        minutes: after which no trial begins and those that run end with their epoch; 0 for any.
        refine: share of the budget for a second, narrower stage; None for the search's usual one.
        parallel: trials at once; 0 for one on each GPU, or one on the CPU.
    """

    base: FineTuning
    space: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    methods: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trials: int = 0
    minutes: float = 0.0
    refine: float | None = None
    parallel: int = 0


class Tune:
    """Starts the jobs, and publishes what they found."""

    def __init__(
        self,
        jobs: ManageJobs,
        fine_tune: FineTune,
        recipes: FineTuneRecipes,
        methods: TuningMethods,
        publisher: PublishFineTuned,
    ) -> None:
        """`fine_tune` checks and prepares what tuning has in common with it."""
        self._jobs = jobs
        self._fine_tune = fine_tune
        self._recipes = recipes
        self._methods = methods
        self._publisher = publisher

    async def start(self, wanted: Tuning) -> Job:
        """Queues the job, after every check that can be made without looking at an image.

        Raises:
            InvalidArgument: what FineTune.start refuses; SPACE_INVALID, SETTING_UNKNOWN, SETTING_NOT_TUNABLE,
                SETTING_TWICE, NOTHING_TO_TUNE; SEARCH_UNKNOWN, PRUNER_UNKNOWN, TUNING_OPTION_INVALID;
                BAD_BUDGET, GRID_TOO_LARGE.
            NotFound, FailedPrecondition, DataLoss, ResourceExhausted: as FineTune.start.
        """
        space, base, tuning = await asyncio.to_thread(self._plan, wanted)
        plan = await self._fine_tune.plan(base)
        await asyncio.to_thread(self._check_values, space, plan.parameters["settings"])
        parameters = {**plan.parameters, "tuning": tuning}
        return await self._jobs.submit(
            NewJob(
                KIND, base.name, parameters,
                lambda directory: self._fine_tune.prepare(plan, directory), base.request_id,
            )
        )  # fmt: skip

    def publish(self, job: Job, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Makes the best trial a version of its model; see core.job_ports.Publish."""
        parent = job.parameters["parent"]
        version = self._publisher.publish(job.subject, job.id, directory, result, parent)
        return {"tuning": {**result["tuning"], **version_as_result(version)}}

    def _plan(self, wanted: Tuning) -> tuple[Space, FineTuning, dict[str, Any]]:
        """What varies, the fine-tuning that all trials have in common, and the job's `tuning`. Blocking."""
        tunable = self._methods.tunable()
        settings = self._recipes.validate(wanted.base.settings)
        given = wanted.space or self._methods.usual_space(settings, wanted.base.settings)
        for name in given:
            _check_name(name, tunable, settings, wanted.base.settings)
        space, fixed = parse_space(given, {name for name, whole in tunable.items() if whole})
        if not space:
            raise InvalidArgument(
                "NOTHING_TO_TUNE",
                "every setting has one value",
                field="space",
                hint="give at least one a range {low, high, log} or several choices; or use FineTune",
            )
        if settings["processes"] * settings["nodes"] > 1:
            raise InvalidArgument(
                "BAD_SETTING",
                "a trial trains in one process",
                field="settings.processes",
                hint="parallel: several trials at once",
            )
        base = dataclasses.replace(wanted.base, settings={**wanted.base.settings, **fixed})
        methods = self._methods.validate(wanted.methods)
        return space, base, {**methods, **self._budget(wanted, methods, space), "space": to_json(space)}

    def _budget(self, wanted: Tuning, methods: Mapping[str, Any], space: Space) -> dict[str, Any]:
        points, usual_refine = self._methods.budget(methods, space)
        refine = usual_refine if wanted.refine is None else wanted.refine
        for name, value, most in (
            ("trials", wanted.trials, MAX_TRIALS),
            ("refine", refine, _MOST_REFINED),
            ("parallel", wanted.parallel, MAX_PARALLEL),
            ("minutes", wanted.minutes, float("inf")),
        ):
            if not 0 <= value <= most or value == float("inf"):
                raise InvalidArgument(
                    "BAD_BUDGET", f"{name} is from 0 to {most:g}, not {value:g}", field=name
                )
        trials = wanted.trials or (MAX_TRIALS if wanted.minutes else DEFAULT_TRIALS)
        if points is not None:
            needed = min(MAX_TRIALS + 1, round(points / (1 - refine)))
            trials = wanted.trials or needed
            if points > round(trials * (1 - refine)) or trials > MAX_TRIALS:
                share = f", of which {refine:.0%} refine" if refine else ""
                raise InvalidArgument(
                    "GRID_TOO_LARGE",
                    f"the grid has {points} points, and there are {min(trials, MAX_TRIALS)} trials{share}",
                    field="trials",
                    hint="more trials, fewer points or parameters, refine=0, or search='random'",
                )
        return {
            "trials": trials, "seconds": 60.0 * wanted.minutes, "refine": refine, "parallel": wanted.parallel,
        }  # fmt: skip

    def _check_values(self, space: Space, settings: Mapping[str, Any]) -> None:
        """Both ends of every range and every choice, each on its own. Blocking."""
        for name, parameter in space.items():
            values: tuple[Value, ...]
            values = (
                parameter.options if isinstance(parameter, Choice) else (parameter.at(0), parameter.at(1))
            )
            for value in values:
                try:
                    self._recipes.validate({**settings, name: value})
                except InvalidArgument as error:
                    raise InvalidArgument(
                        error.reason,
                        f"{name}={value!r}: {error.message}",
                        field=f"space.{name}",
                        hint=error.hint,
                    ) from error


class PlotTuning:
    """The trials of a job: those of a model that is there, else of the job's directory."""

    def __init__(self, plots: TuningPlots, artifacts: Artifacts) -> None:
        """`artifacts` has the files of models, under the ids of jobs."""
        self._plots = plots
        self._artifacts = artifacts

    def __call__(self, job: Job, directory: Path) -> JobPlot | None:
        """See core.plot_jobs.Plot."""
        space = from_json(job.parameters["tuning"]["space"])
        published = self._artifacts.path(job.id) / RECORD
        return self._plots.plot(space, published if published.exists() else directory / RECORD)


def _check_name(
    name: str, tunable: Mapping[str, bool], settings: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    field = f"space.{name[:80]}"
    if name not in settings:
        near = difflib.get_close_matches(name, tunable, n=3, cutoff=0.5)
        raise InvalidArgument(
            "SETTING_UNKNOWN",
            f"fine-tuning has no setting {name[:80]!r}",
            field=field,
            hint=f"near: {', '.join(near)}" if near else f"there are: {', '.join(sorted(tunable))}",
        )
    if name not in tunable:
        raise InvalidArgument(
            "SETTING_NOT_TUNABLE",
            f"{name} is the same in all trials, so that they can be compared",
            field=field,
            hint="give it as a setting",
        )
    if name in given:
        raise InvalidArgument(
            "SETTING_TWICE",
            f"{name} is both a setting of all trials and searched",
            field=field,
            hint="leave it out of one of them",
        )
