"""`penult index`: create, list, get, stats, snapshot, restore, delete, alias, optimize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from penult._jobs import outcome
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.groups import ListByDefault
from penult.cli.live_jobs import follow
from penult.cli.output import print_json, print_table
from penult.errors import InvalidArgument
from penult.index_types import IndexInfo, IndexStats

Name = Annotated[str, typer.Argument(help="Name of the index, or an alias.")]
Wait = Annotated[bool, typer.Option(help="Follow the job, else print its id.")]

index = typer.Typer(cls=ListByDefault, help="List (the default), make, fill and look after indexes.")


@index.command()
def create(
    name: Annotated[str, typer.Argument(help="New name.")],
    backbone: Annotated[str | None, typer.Option(help="Default: the server's.")] = None,
    dim: Annotated[int | None, typer.Option(help="For vectors of your own: their length.")] = None,
    metric: Annotated[
        Literal["cosine", "inner_product", "l2"], typer.Option(help="How vectors are compared.")
    ] = "cosine",
    kind: Annotated[str, typer.Option(help="auto, or one of docs/indexes.md.")] = "auto",
    parameters: Annotated[str, typer.Option(help="Of the kind, as a JSON object.")] = "{}",
    step: Annotated[
        list[str] | None, typer.Option(help="Retrieval step by name. Repeatable, applied in order.")
    ] = None,
    memory_mb: Annotated[int, typer.Option(help="Most MiB in memory; 0: no bound.")] = 0,
    tta: Annotated[str | None, typer.Option(help="flip, five_crop, ten_crop, scales; join with +.")] = None,
    layer: Annotated[str | None, typer.Option(help="Intermediate layer.")] = None,
    keep_images: Annotated[bool, typer.Option(help="Keep the images of items on the server.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Make an empty index."""
    choices: dict[str, Any] = {key: value for key, value in (("tta", tta), ("layer", layer)) if value}
    with connect(target, api_key, ca, tls) as client:
        made = client.indexes.create(
            name, backbone, dim=dim, metric=metric, kind=kind, parameters=_object(parameters),
            steps=step or [], memory_mb=memory_mb, keep_images=keep_images, **choices,
        )  # fmt: skip
    _show(made, as_json)


@index.command("list")
def list_indexes(
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List all indexes."""
    with connect(target, api_key, ca, tls) as client:
        found = client.indexes.list()
    if as_json:
        print_json(found)
        return
    header = ("name", "items", "dim", "metric", "kind", "backbone", "aliases")
    print_table(
        header,
        (
            (i.name, str(i.item_count), str(i.dim), i.metric, i.kind, i.backbone, ", ".join(i.aliases))
            for i in found
        ),
    )


@index.command()
def get(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Describe an index."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.indexes.get(name), as_json)


@index.command()
def stats(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Say how an index is doing: structure and why, memory, recall, latency."""
    with connect(target, api_key, ca, tls) as client:
        found = client.indexes.get(name).stats()
    if as_json:
        print_json(found)
    else:
        print_table(("", ""), _facts(found))


@index.command()
def optimize(
    name: Name,
    wait: Wait = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Put all items into the structure that fits best, and reclaim space."""
    with connect(target, api_key, ca, tls) as client:
        index = client.indexes.get(name)
        job = index.optimize()
        if not wait:
            print_json(job) if as_json else typer.echo(job.id)
            return
        outcome(follow(job, quiet=as_json))
        found = index.stats()
    if as_json:
        print_json(found)
    else:
        print_table(("", ""), _facts(found))


@index.command()
def snapshot(
    name: Name,
    out: Annotated[Path, typer.Option(help="File to write, a ZIP.")],
    images: Annotated[bool, typer.Option(help="With the images that are kept.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Write an index as it is now to one file."""
    with connect(target, api_key, ca, tls) as client:
        size = client.indexes.snapshot(name, out, images=images)
    if as_json:
        print_json({"out": str(out), "bytes": size})
    else:
        typer.echo(f"{out}: {size / (1 << 20):.1f} MiB", err=True)


@index.command()
def restore(
    name: Annotated[str, typer.Argument(help="New name.")],
    file: Annotated[Path, typer.Argument(help="What `penult index snapshot` wrote.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Make a new index of a snapshot."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.indexes.restore(name, file), as_json)


@index.command()
def delete(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Remove an index with its items."""
    with connect(target, api_key, ca, tls) as client:
        count = client.indexes.delete(name)
    if as_json:
        print_json({"removed": count})
    else:
        typer.echo(f"{name}: {count} items removed", err=True)


@index.command()
def alias(
    alias: Annotated[str, typer.Argument(help="Such as production.")],
    name: Annotated[str | None, typer.Argument(help="Index that it is to point to.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the alias.")] = False,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Point an alias to an index, or remove it."""
    if remove == (name is not None):
        raise InvalidArgument("give an index, or --remove", reason="ALIAS_UNCLEAR")
    with connect(target, api_key, ca, tls) as client:
        if name is not None:
            _show(client.indexes.set_alias(alias, name), as_json)
        else:
            client.indexes.delete_alias(alias)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidArgument(f"--parameters {text!r} is no JSON object", reason="PARAMETERS_INVALID")
    return value


def _show(found: IndexInfo, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        ("name", found.name),
        ("items", str(found.item_count)),
        ("dim", str(found.dim)),
        ("metric", found.metric),
        ("kind", found.kind),
        ("backbone", found.backbone or "(vectors of the caller)"),
        ("fingerprint", found.fingerprint),
        ("images", "kept" if found.keeps_images else "not kept"),
        ("aliases", ", ".join(found.aliases)),
        ("phase", found.phase),
    ]
    if found.phase == "loading":
        rows.append(("loading", f"{100 * found.loading_progress:.0f} %"))
    print_table(("", ""), rows)


def _facts(found: IndexStats) -> list[tuple[str, str]]:
    recall = "not measured" if found.recall_at_10 is None else f"{found.recall_at_10:.4f}"
    search = ", ".join(f"{name} {value}" for name, value in sorted(found.search.items()))
    return [
        ("items", str(found.item_count)),
        ("kind", f"{found.kind} ({found.factory})" if found.factory else found.kind),
        ("why", found.why),
        ("search", search),
        ("recall@10", recall),
        ("memory MiB", f"{found.memory_bytes / (1 << 20):.1f}"),
        ("vectors MiB", f"{found.vector_bytes / (1 << 20):.1f}"),
        ("pending", str(found.pending)),
        ("tombstones", str(found.tombstones)),
        ("snapshot at", f"{found.snapshot_sequence} of {found.sequence}"),
        ("loaded", f"{found.loaded_from}, {found.load_seconds:.2f} s"),
        ("queries", str(found.queries)),
        ("search ms p50, p95", f"{found.search_ms_p50:.2f}, {found.search_ms_p95:.2f}"),
        ("optimizing", "yes" if found.optimizing else "no"),
    ]
