"""`penult health`."""

from __future__ import annotations

import typer

from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.output import print_json


def health(
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Say whether the server works; the exit code is 0 only then."""
    with connect(target, api_key, ca, tls) as client:
        state = client.health()
    if as_json:
        print_json(state)
    else:
        typer.echo(state.status)
    raise typer.Exit(0 if state.serving else 1)
