"""`penult models`: list, get, versions, alias, ensemble, files, archive, import, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.groups import ListByDefault
from penult.cli.output import print_json, print_table
from penult.model_types import Model

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Reference = Annotated[str, typer.Argument(help="NAME, NAME@VERSION or NAME@ALIAS.")]

models = typer.Typer(cls=ListByDefault, help="List (the default), describe, name and delete models.")


@models.command("list")
def list_models(
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List the latest version of every model."""
    with connect(target, api_key, ca, tls) as client:
        _list(client.models.list(), as_json)


@models.command()
def versions(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List the versions of a model, newest first."""
    with connect(target, api_key, ca, tls) as client:
        _list(client.models.versions(name), as_json)


@models.command()
def get(
    model: Reference,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Describe a version: figures, how they were measured, and where it comes from."""
    with connect(target, api_key, ca, tls) as client:
        found = client.models.get(model)
    show(found, as_json)


@models.command()
def alias(
    name: Name,
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    version: Annotated[int | None, typer.Argument(help="Default: the latest.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the alias.")] = False,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Make an alias point to a version, and print all aliases."""
    with connect(target, api_key, ca, tls) as client:
        if remove:
            aliases = client.models.remove_alias(name, alias)
        else:
            aliases = client.models.set_alias(name, alias, version)
    if as_json:
        print_json(aliases)
    else:
        print_table(("alias", "version"), ((key, str(value)) for key, value in sorted(aliases.items())))


@models.command()
def ensemble(
    name: Annotated[str, typer.Argument(help="Of the model that is made, new or not.")],
    members: Annotated[list[str], typer.Argument(help="2 to 16 of NAME, NAME@VERSION or NAME@ALIAS.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Make a version that averages the probabilities of others."""
    with connect(target, api_key, ca, tls) as client:
        show(client.models.ensemble(name, members), as_json)


@models.command()
def files(
    model: Reference,
    out: Annotated[
        Path | None, typer.Option(help="Folder to download into; without it they are listed.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Name or pattern, such as curves.png. Repeatable.")
    ] = None,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List or download the files of a version: weights, evidence, curves, TensorBoard events."""
    with connect(target, api_key, ca, tls) as client:
        if out is not None:
            for path in client.models.download(model, out, files=only):
                typer.echo(path)
            return
        found = client.models.files(model)
    if as_json:
        print_json(found)
    else:
        print_table(
            ("file", "bytes", "sha256"), ((file.name, str(file.size_bytes), file.sha256) for file in found)
        )


@models.command()
def delete(
    model: Annotated[str, typer.Argument(help="NAME for all versions, or NAME@VERSION.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Remove a model or one version of it."""
    with connect(target, api_key, ca, tls) as client:
        count = client.models.delete(model)
    if as_json:
        print_json({"deleted": count})
    else:
        typer.echo(f"{model}: {count} versions deleted", err=True)


@models.command()
def archive(
    model: Reference,
    out: Annotated[Path, typer.Option(help="File to write, a ZIP.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Write a version with all that it is made of to one file, for another server."""
    with connect(target, api_key, ca, tls) as client:
        size = client.models.archive(model, out)
    if as_json:
        print_json({"out": str(out), "bytes": size})
    else:
        typer.echo(f"{out}: {size / (1 << 20):.1f} MiB", err=True)


@models.command("import")
def import_archive(
    name: Name,
    file: Annotated[Path, typer.Argument(help="What `penult models archive` wrote.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Make a new version of an archive."""
    with connect(target, api_key, ca, tls) as client:
        found = client.models.import_archive(name, file)
    show(found, as_json)


def show(model: Model, as_json: bool) -> None:
    """A version in words."""
    if as_json:
        print_json(model)
        return
    facts = [
        ("model", model.reference),
        ("kind", model.kind),
        ("aliases", ", ".join(model.aliases)),
        ("classes", _some(model.labels)),
        ("members", ", ".join(model.members)),
        ("threshold", "" if model.threshold is None else f"{model.threshold:.4g}"),
        *((name, f"{value:.4f}") for name, value in model.metrics.items()),
    ]
    if (evidence := model.evidence) is not None:
        facts += [
            ("measured", evidence.note),
            ("hyperparameters", ", ".join(f"{k} {v:.4g}" for k, v in evidence.hyperparameters.items())),
            ("seconds", ", ".join(f"{phase} {value:.1f}" for phase, value in evidence.seconds.items())),
            *(("warning", warning) for warning in evidence.warnings),
        ]
    if (lineage := model.lineage) is not None:
        facts += [
            ("head", lineage.head),
            ("backbone", lineage.backbone),
            ("augment", lineage.augment),
            ("dataset", f"{lineage.dataset}, revision {lineage.dataset_revision}"),
            ("examples", str(lineage.example_count)),
            ("fingerprint", lineage.fingerprint),
            ("trained from", lineage.parent),
            ("start weights", lineage.start_backbone),
            ("variant", lineage.variant),
        ]
    print_table(("", ""), [(key, value) for key, value in facts if value])


def _list(found: list[Model], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    header = ("model", "version", "accuracy", "classes", "kind", "backbone", "aliases", "created")
    print_table(header, map(_row, found))


def _row(model: Model) -> tuple[str, ...]:
    accuracy = model.metrics.get("accuracy")
    return (
        model.name,
        str(model.version),
        "" if accuracy is None else f"{accuracy:.4f}",
        str(len(model.labels)),
        model.lineage.head if model.lineage and model.kind == "head" else model.kind,
        model.lineage.backbone if model.lineage else "",
        ",".join(model.aliases),
        f"{model.created:%Y-%m-%d %H:%M:%S}",
    )


def _some(labels: tuple[str, ...]) -> str:
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return f"{len(labels)}: {', '.join(labels[:10])}{more}"
