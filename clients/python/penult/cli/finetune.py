"""`penult finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penult._jobs import outcome
from penult._whole_file import write_whole
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.live_jobs import follow
from penult.cli.models import show
from penult.cli.output import print_json
from penult.cli.train import parse_parameters


def finetune(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset to learn from.")],
    model: Annotated[str, typer.Option(help="Name of the model; each training adds a version.")],
    backbone: Annotated[
        str | None, typer.Option(help="Whose weights training starts from. Default: the server's.")
    ] = None,
    init_from: Annotated[
        str | None, typer.Option(help="In its place: the model whose backbone training starts from.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--setting", "-s", help="Of the training, as key=value. Repeatable."),
    ] = None,
    draw_schedule: Annotated[
        Path | None,
        typer.Option(help="Only draw the learning rate of every step into this PNG; train nothing."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job and print the model, else its id.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Train a backbone end to end on a dataset."""
    settings = parse_parameters(setting or [])
    with connect(target, api_key, ca, tls) as client:
        if draw_schedule is not None:
            drawn = client.models.draw_schedule(dataset=dataset, **settings)
            write_whole(draw_schedule, drawn.png)
            typer.echo(draw_schedule)
            return
        job = client.models.finetune(
            model, dataset=dataset, backbone=backbone, init_from=init_from, **settings
        )
        made = outcome(follow(job, quiet=as_json)) if wait else None
    if made is not None:
        show(made, as_json)
    elif as_json:
        print_json(job)
    else:
        typer.echo(job.id)
