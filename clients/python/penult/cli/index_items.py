"""`penult index add | remove | evaluate | duplicates`: what is in an index."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from penult._jobs import outcome
from penult.cli.analysis import print_duplicates
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.indexes import Name, Wait, index
from penult.cli.live_jobs import follow
from penult.cli.output import print_json, print_table
from penult.errors import SkippedImages
from penult.pages.contact_sheet import write_duplicates
from penult.sources import image_files


@index.command()
def add(
    name: Name,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Images, folders, or quoted patterns like 'x/**/*.jpg'.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Add the images of this dataset instead.")] = None,
    label: Annotated[str | None, typer.Option(help="Give this label to all.")] = None,
    folder_labels: Annotated[
        bool, typer.Option("--folder-labels", help="The folder of each image is its label.")
    ] = False,
    upsert: Annotated[bool, typer.Option("--upsert", help="Replace items that are there.")] = False,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Add images; the id of each is its path."""
    with connect(target, api_key, ca, tls) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImages)  # each is listed below
        found = client.indexes.get(name)
        if dataset:
            done = outcome(follow(found.add_dataset(dataset), quiet=as_json))
            print_json(done) if as_json else typer.echo(f"{name}: {done.item_count} items", err=True)
            return
        files = [file for path in paths or [] for file in image_files(path)]
        labels = [Path(file).parent.name for file in files] if folder_labels else label
        work = found.upsert if upsert else found.add
        summary = work(files, labels=labels, progress=not as_json)
    for error in summary.errors:
        typer.echo(f"refused {error}", err=True)
    if as_json:
        print_json(summary)
    else:
        typer.echo(
            f"{name}: {summary.added} added, {summary.updated} updated, {summary.unchanged} unchanged, "
            f"{len(summary.errors)} refused",
            err=True,
        )
    if summary.errors and len(summary.errors) == len(files):
        raise typer.Exit(1)


@index.command()
def remove(
    name: Name,
    ids: Annotated[list[str], typer.Argument(help="Ids of items.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Remove items."""
    with connect(target, api_key, ca, tls) as client:
        done = client.indexes.get(name).remove(ids)
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{name}: {done.removed} removed, {done.missing} not there", err=True)


@index.command()
def evaluate(
    name: Name,
    k: Annotated[int, typer.Option(help="Hits a query.")] = 10,
    sample: Annotated[int, typer.Option(help="Most items drawn as queries.")] = 1000,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Measure recall against exact search, and by labels where items carry them."""
    with connect(target, api_key, ca, tls) as client:
        found = client.indexes.get(name).evaluate(k, sample=sample)
    if as_json:
        print_json(found)
        return
    rows = [("queries", str(found.queries)), (f"recall@{k}", f"{found.recall:.4f}")]
    if found.labelled_queries:
        rows += [
            ("labelled queries", str(found.labelled_queries)),
            ("top-1", f"{found.top_1:.4f}"),
            (f"precision@{k}", f"{found.precision:.4f}"),
            ("mean average precision", f"{found.mean_average_precision:.4f}"),
            (f"label recall@{k}", f"{found.label_recall:.4f}"),
        ]
    print_table(("", ""), rows)


@index.command()
def duplicates(
    name: Name,
    threshold: Annotated[float, typer.Option(help="Least cosine of near-duplicates.")] = 0.95,
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures.")] = None,
    wait: Wait = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Group items that show the same, or nearly the same."""
    with connect(target, api_key, ca, tls) as client:
        found = client.indexes.get(name)
        job = found.near_duplicates(threshold)
        if not wait:
            print_json(job) if as_json else typer.echo(job.id)
            return
        groups = outcome(follow(job, quiet=as_json))
        if html is not None:
            write_duplicates(html, found, groups)
            typer.echo(f"{html}: {len(groups.groups)} groups", err=True)
    print_duplicates(groups, as_json)
