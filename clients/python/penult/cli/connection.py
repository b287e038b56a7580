"""Options of every command that talks to a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penult._channel import API_KEY_VARIABLE, Tls
from penult.client import Client

Target = Annotated[str, typer.Option(envvar="PENULT_TARGET", help="Server, host:port.")]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar=API_KEY_VARIABLE, help="API key; other users of this machine can see it here."),
]
Ca = Annotated[Path | None, typer.Option(help="Use TLS and trust the authorities in this PEM file.")]
UseTls = Annotated[bool, typer.Option("--tls", help="Use TLS and trust the system's authorities.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

DEFAULT_TARGET = "127.0.0.1:50051"


def connect(target: str, api_key: str | None, ca: Path | None, tls: bool) -> Client:
    """A client from those options."""
    return Client(target, api_key=api_key, tls=Tls(ca=ca) if ca else tls)
