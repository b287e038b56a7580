"""The commands, and how an error ends them."""

from __future__ import annotations

import os
import sys

import typer

from penult._version import __version__
from penult.cli import index_items  # noqa: F401 - adds commands to `index`
from penult.cli.backbones import backbones
from penult.cli.datasets import datasets
from penult.cli.evaluate import evaluate
from penult.cli.export import export
from penult.cli.extract import extract
from penult.cli.finetune import finetune
from penult.cli.health import health
from penult.cli.indexes import index
from penult.cli.jobs import jobs
from penult.cli.models import models
from penult.cli.output import report
from penult.cli.predict import predict
from penult.cli.search import search
from penult.cli.train import train
from penult.cli.tune import tune
from penult.errors import PenultError

app = typer.Typer(
    help="Features and classifiers of images from a Penult server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(extract)
app.command()(train)
app.command()(finetune)
app.command()(tune)
app.command()(predict)
app.command()(evaluate)
app.command()(export)
app.command()(search)
app.add_typer(backbones, name="backbones")
app.add_typer(datasets, name="datasets")
app.add_typer(models, name="models")
app.add_typer(index, name="index")
app.add_typer(jobs, name="jobs")
app.command()(health)


@app.command()
def version() -> None:
    """Print the version of this client."""
    typer.echo(__version__)


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        app(prog_name="penult")
    except PenultError as error:
        report(error)
        sys.exit(1)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
