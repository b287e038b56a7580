"""`penult backbones`: list, get, load, unload, import."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.groups import ListByDefault
from penult.cli.output import print_json, print_table
from penult.types import Backbone

Name = Annotated[str, typer.Argument(help="Name of the backbone.")]

backbones = typer.Typer(cls=ListByDefault, help="List (the default), describe, load and import backbones.")


@backbones.command("list")
def list_backbones(
    query: Annotated[str | None, typer.Argument(help="Part of the name, or a pattern with * or ?.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Only from here: bundled, directory, imported, timm, torchvision. Repeatable."),
    ] = None,
    state: Annotated[str | None, typer.Option(help="Only: available, loading, ready, failed.")] = None,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List backbones that need no network and those in memory; --source timm lists the hub's."""
    with connect(target, api_key, ca, tls) as client:
        found = client.backbones.list(query, source, state)  # type: ignore[arg-type]  # checked there
    if as_json:
        print_json(found)
        return
    header = ("name", "source", "state", "dim", "parameters", "device", "provider")
    print_table(header, (_row(backbone) for backbone in found))


@backbones.command()
def get(
    name: Annotated[str, typer.Argument(help="Name; empty is the server's default.")] = "",
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Describe a backbone."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.backbones.get(name), as_json)


@backbones.command()
def load(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Load a backbone and wait until it is ready."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.backbones.load(name), as_json)


@backbones.command()
def unload(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Free the memory of a backbone."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.backbones.unload(name), as_json)


@backbones.command("import")
def import_checkpoint(
    name: Annotated[str, typer.Argument(help="New name.")],
    path: Annotated[Path, typer.Argument(help="Weights: .safetensors, or .pth that holds only tensors.")],
    architecture: Annotated[str, typer.Option(help="timm or torchvision architecture that they fit.")],
    licence: Annotated[str, typer.Option(help="Licence of the weights, such as Apache-2.0.")] = "",
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Upload a checkpoint as a new backbone."""
    with connect(target, api_key, ca, tls) as client:
        imported = client.backbones.import_checkpoint(name, path, architecture=architecture, licence=licence)
        _show(imported, as_json)


def _row(backbone: Backbone) -> tuple[str, ...]:
    return (
        backbone.name,
        backbone.source,
        backbone.state,
        str(backbone.dim or ""),
        f"{backbone.parameter_count / 1e6:.1f}M" if backbone.parameter_count else "",
        backbone.device,
        backbone.provider,
    )


def _show(backbone: Backbone, as_json: bool) -> None:
    if as_json:
        print_json(backbone)
        return
    facts = {field.name: getattr(backbone, field.name) for field in dataclasses.fields(backbone)}
    if backbone.preprocess is not None:
        facts |= dataclasses.asdict(backbone.preprocess)
    del facts["preprocess"]
    print_table(("", ""), ((key, _text(value)) for key, value in facts.items() if value))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
