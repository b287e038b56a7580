"""`penult datasets`: create, list, get, analyze, duplicates, add, split, export, delete."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Literal

import typer

from penult._jobs import outcome
from penult.cli.analysis import print_analysis, print_duplicates
from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.groups import ListByDefault
from penult.cli.live_jobs import follow
from penult.cli.output import print_json, print_table
from penult.dataset_types import Dataset, SplitCounts
from penult.errors import SkippedImages
from penult.pages.contact_sheet import write_dataset_duplicates
from penult.sources import image_files

Name = Annotated[str, typer.Argument(help="Name of the dataset.")]
SplitOption = Annotated[
    Literal["train", "validation", "test", "unassigned"] | None, typer.Option(help="Put all images there.")
]

datasets = typer.Typer(cls=ListByDefault, help="List (the default), make, fill and split datasets.")


@datasets.command()
def create(
    name: Annotated[str, typer.Argument(help="New name.")],
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Examples may have several.")] = False,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Make an empty dataset."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.datasets.create(name, multi_label=multi_label), as_json)


@datasets.command()
def analyze(
    name: Name,
    wait: Annotated[bool, typer.Option(help="Follow the job and print what it found, else its id.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Look for unreadable and tiny images, and for duplicates within and across splits."""
    with connect(target, api_key, ca, tls) as client:
        job = client.datasets.analyze(name)
        found = outcome(follow(job, quiet=as_json)) if wait else None
    if as_json:
        print_json(found or job)
    elif found is None:
        typer.echo(job.id)
    else:
        print_analysis(found)


@datasets.command()
def duplicates(
    name: Name,
    threshold: Annotated[float, typer.Option(help="Least cosine of near-duplicates.")] = 0.95,
    backbone: Annotated[str | None, typer.Option(help="Whose features are compared.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job and print what it found, else its id.")] = True,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Group images that show the same, or nearly the same."""
    with connect(target, api_key, ca, tls) as client:
        job = client.datasets.near_duplicates(name, threshold, backbone=backbone)
        if not wait:
            print_json(job) if as_json else typer.echo(job.id)
            return
        groups = outcome(follow(job, quiet=as_json))
        if html is not None:
            write_dataset_duplicates(html, client.datasets, groups)
            typer.echo(f"{html}: {len(groups.groups)} groups", err=True)
    print_duplicates(groups, as_json)


@datasets.command("list")
def list_datasets(
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """List all datasets with the sizes of their splits."""
    with connect(target, api_key, ca, tls) as client:
        found = client.datasets.list()
    if as_json:
        print_json(found)
        return
    header = ("name", "examples", "train", "validation", "test", "unassigned", "MiB")
    print_table(
        header, ((item.name, *_counts(item.counts), f"{item.size_bytes / (1 << 20):.1f}") for item in found)
    )


@datasets.command()
def get(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Count the examples of every class by split."""
    with connect(target, api_key, ca, tls) as client:
        _show(client.datasets.get(name), as_json)


@datasets.command()
def add(
    name: Name,
    paths: Annotated[
        list[str], typer.Argument(help="A folder that holds one for each class, or with --label any images.")
    ],
    label: Annotated[
        list[str] | None, typer.Option(help="Give this label to all images. Repeatable if multi-label.")
    ] = None,
    split: SplitOption = None,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Upload images: FOLDER/CLASS/…, or FOLDER/train/CLASS/… and so on for the other splits."""
    with connect(target, api_key, ca, tls) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedImages)  # each is listed below
        if label:
            files = [file for path in paths for file in image_files(path)]
            labels = [label] * len(files)
            parts = [client.datasets.add(name, files, labels, split=split, progress=not as_json)]
        else:
            parts = [
                client.datasets.add_folder(name, path, split=split, progress=not as_json) for path in paths
            ]
    added, unchanged = sum(part.added for part in parts), sum(part.unchanged for part in parts)
    errors = [error for part in parts for error in part.errors]
    for error in errors:
        typer.echo(f"refused {error}", err=True)
    if as_json:
        print_json({"added": added, "unchanged": unchanged, "errors": errors})
    else:
        typer.echo(f"{name}: {added} added, {unchanged} unchanged, {len(errors)} refused", err=True)
    if errors and not added + unchanged:
        raise typer.Exit(1)


@datasets.command()
def split(
    name: Name,
    train: Annotated[float, typer.Option(help="Share of the examples.")] = 0.8,
    validation: Annotated[float, typer.Option(help="Share of the examples.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of the examples.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another one gives another split.")] = 0,
    by_hash: Annotated[
        bool, typer.Option("--by-hash", help="By each picture alone, not by shares in every class.")
    ] = False,
    reassign: Annotated[
        bool, typer.Option("--reassign", help="Move examples that have a split, too.")
    ] = False,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Assign splits; the same command always gives the same."""
    with connect(target, api_key, ca, tls) as client:
        done = client.datasets.split(
            name, train=train, validation=validation, test=test,
            seed=seed, stratified=not by_hash, reassign=reassign,
        )  # fmt: skip
    _show(done, as_json)


@datasets.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="File to write: a JSON object a line.")],
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Write what every example is: sha256, labels, split, metadata, id, size."""
    with connect(target, api_key, ca, tls) as client:
        count = client.datasets.export(name, out)
    if as_json:
        print_json({"out": str(out), "examples": count})
    else:
        typer.echo(f"{out}: {count} examples", err=True)


@datasets.command()
def delete(
    name: Name,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Remove a dataset with its images."""
    with connect(target, api_key, ca, tls) as client:
        count = client.datasets.delete(name)
    if as_json:
        print_json({"deleted": count})
    else:
        typer.echo(f"{name}: {count} examples deleted", err=True)


def _show(dataset: Dataset, as_json: bool) -> None:
    if as_json:
        print_json(dataset)
        return
    header = ("label", "examples", "train", "validation", "test", "unassigned")
    rows = [(item.label, *_counts(item.counts)) for item in dataset.classes]
    if dataset.unlabelled.total:
        rows.append(("(no label)", *_counts(dataset.unlabelled)))
    print_table(header, [*rows, ("(all)", *_counts(dataset.counts))])


def _counts(counts: SplitCounts) -> tuple[str, ...]:
    return tuple(map(str, (counts.total, counts.train, counts.validation, counts.test, counts.unassigned)))
