"""`penult train`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from penult._jobs import outcome
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.live_jobs import follow
from penult.cli.models import show
from penult.cli.output import print_json
from penult.errors import InvalidArgument

_OPTIONS = ("name", "dataset", "head", "backbone", "augment", "init_from", "timeout")


def train(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset to learn from.")],
    model: Annotated[str, typer.Option(help="Name of the model; each training adds a version.")],
    head: Annotated[str, typer.Option(help="Kind of classifier.")] = "logistic_regression",
    backbone: Annotated[str | None, typer.Option(help="Default: the server's.")] = None,
    augment: Annotated[
        str | None, typer.Option(help="Train on more views: flip, five_crop, ten_crop, scales; join with +.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="Of the head, as key=value. Repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job and print the model, else its id.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier on the features of a dataset."""
    parameters = parse_parameters(parameter or [])
    with connect(target, api_key, ca, tls) as client:
        job = client.models.train_head(
            model, dataset=dataset, head=head, backbone=backbone, augment=augment, **parameters
        )
        made = outcome(follow(job, quiet=as_json)) if wait else None
    if made is not None:
        show(made, as_json)
    elif as_json:
        print_json(job)
    else:
        typer.echo(job.id)


def parse_parameters(words: list[str]) -> dict[str, Any]:
    """Reads key=value; a value is JSON where it can be read as such, else text. Raises InvalidArgument."""
    parameters: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier() or key in _OPTIONS:
            raise InvalidArgument(
                f"parameter {word!r} is not key=value", reason="PARAMETER_INVALID", hint="for example C=0.1"
            )
        parameters[key] = json_or_text(text)
    return parameters


def json_or_text(text: str) -> Any:
    """What a value on the command line means: JSON where it can be read as such."""
    try:
        return json.loads(text)
    except ValueError:
        return text
