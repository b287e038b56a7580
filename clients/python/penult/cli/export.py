"""`penult export`: a model as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from penult.cli.connection import DEFAULT_TARGET, ApiKey, Ca, Target, UseTls, connect
from penult.model_types import ExportFormat


def export(
    model: Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.")],
    path: Annotated[Path, typer.Argument(help="File, or folder that gets a file such as shoes-3.onnx.")],
    format: Annotated[str, typer.Option(help="onnx, checkpoint or arrays.")] = "onnx",
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
) -> None:
    """Write a model into a file that works without the server, checked against the server."""
    with connect(target, api_key, ca, tls) as client:
        typer.echo(client.models.export(model, path, format=cast("ExportFormat", format)))
