"""`penult tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from penult._jobs import outcome
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.live_jobs import follow
from penult.cli.models import show
from penult.cli.output import print_json, print_table
from penult.cli.train import json_or_text, parse_parameters
from penult.errors import InvalidArgument
from penult.tuning_types import Trial, Tuning

_OPTIONS = {
    "space",
    "search",
    "search_options",
    "pruner",
    "pruner_options",
    "trials",
    "minutes",
    "refine",
    "parallel",
}
"""Arguments of `tune` in the SDK, beside those that parse_parameters knows."""


def tune(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset to learn from.")],
    model: Annotated[str, typer.Option(help="Name of the model; the job adds a version.")],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            "-v",
            help="A setting and what to try: learning_rate=1e-5..1e-2:log, layer_decay=0.6..1, "
            "augmentation=crop,randaugment. Repeatable. Default: the usual ones.",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--setting", "-s", help="The same in every trial, as key=value. Repeatable."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Most to train. Default: 20, or as fit into --minutes.")] = 0,
    minutes: Annotated[float, typer.Option(help="After which no trial begins. 0: any.")] = 0.0,
    search: Annotated[str, typer.Option(help="tpe, random or grid.")] = "tpe",
    search_option: Annotated[list[str] | None, typer.Option(help="Of the search, as key=value.")] = None,
    pruner: Annotated[str, typer.Option(help="Who ends trials early: median, asha or none.")] = "median",
    pruner_option: Annotated[list[str] | None, typer.Option(help="Of the pruner, as key=value.")] = None,
    refine: Annotated[
        float | None, typer.Option(help="Share of the trials that search around the best.")
    ] = None,
    parallel: Annotated[int, typer.Option(help="Trials at once. 0: one a GPU, or one on the CPU.")] = 0,
    backbone: Annotated[
        str | None, typer.Option(help="Whose weights training starts from. Default: the server's.")
    ] = None,
    init_from: Annotated[
        str | None, typer.Option(help="In its place: the model whose backbone training starts from.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG of the trials to write at the end.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job and print what it found, else its id.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune many times with different settings, and keep the best."""
    space = parse_space(vary or [])
    settings = parse_parameters(setting or [])
    if taken := _OPTIONS & settings.keys():
        raise InvalidArgument(
            f"{sorted(taken)[0]} is an option of its own, and no setting", reason="PARAMETER_INVALID"
        )
    with connect(target, api_key, ca, tls) as client:
        job = client.models.tune(
            model, dataset=dataset, backbone=backbone, init_from=init_from, space=space or None,
            search=search, search_options=parse_parameters(search_option or []), pruner=pruner,
            pruner_options=parse_parameters(pruner_option or []), trials=trials, minutes=minutes,
            refine=refine, parallel=parallel, **settings,
        )  # fmt: skip
        found = outcome(follow(job, quiet=as_json)) if wait else None
        if plot is not None and found is not None:
            client.jobs.plot(job.id, plot)
    if found is None:
        print_json(job) if as_json else typer.echo(job.id)
    elif as_json:
        print_json(found)
    else:
        show_tuning(found)


def show_tuning(found: Tuning) -> None:
    """Prints the trials, the best first, what they say, and the model."""
    names = sorted({name for trial in found.trials for name in trial.settings})
    ranked = sorted(
        found.trials, key=lambda t: (t.number != found.best_trial, -(t.accuracy or 0.0), t.loss or 0.0)
    )
    print_table(
        ("trial", "state", "epochs", "accuracy", "loss", "seconds", *names),
        [(*_row(trial), *(_short(trial.settings.get(name)) for name in names)) for trial in ranked],
    )
    for note in found.notes:
        typer.echo(note)
    show(found.model, as_json=False)


def parse_space(given: list[str]) -> dict[str, Any]:
    """Reads `name=low..high`, `name=low..high:log` and `name=a,b,c`. Raises InvalidArgument."""
    space: dict[str, Any] = {}
    for text in given:
        name, separator, values = text.partition("=")
        if not separator or not name or not values:
            raise _bad(text)
        if ".." in values:
            ends, _, kind = values.partition(":")
            low, _, high = ends.partition("..")
            if kind not in ("", "log"):
                raise _bad(text)
            try:
                space[name] = {"low": float(low), "high": float(high), **({"log": True} if kind else {})}
            except ValueError:
                raise _bad(text) from None
        else:
            space[name] = [json_or_text(value) for value in values.split(",")]
    return space


def _row(trial: Trial) -> tuple[str, ...]:
    accuracy = "" if trial.accuracy is None else f"{trial.accuracy:.4f}"
    loss = "" if trial.loss is None else f"{trial.loss:.3f}"
    state = trial.reason or trial.state
    return str(trial.number), state, str(len(trial.accuracies)), accuracy, loss, f"{trial.seconds:.0f}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _bad(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"{text!r} is nothing to vary",
        reason="SPACE_INVALID",
        hint="such as learning_rate=1e-5..1e-2:log or augmentation=crop,randaugment",
    )
