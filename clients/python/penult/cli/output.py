"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from penult.errors import PenultError


def report(error: PenultError) -> None:
    """Says what went wrong and what to do, without a traceback."""
    typer.secho(f"error: {error.message} [{error.reason}]", fg="red", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)
    if error.request_id:
        typer.echo(f"request: {error.request_id}", err=True)


def print_json(value: Any) -> None:
    """Prints dataclasses, lists and dicts of them as JSON; times in ISO 8601."""
    typer.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else dataclasses.asdict(value)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal; tab-separated lines without a header in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
