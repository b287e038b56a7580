"""`penult search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penult.cli.connection import DEFAULT_TARGET, ApiKey, AsJson, Ca, Target, UseTls, connect
from penult.cli.output import print_json, print_table
from penult.errors import InvalidArgument
from penult.pages.contact_sheet import write_hits
from penult.sources import image_files


def search(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Images, folders, or quoted patterns to search by.")
    ] = None,
    index: Annotated[str, typer.Option(help="Name of the index, or an alias.")] = "",
    id: Annotated[str | None, typer.Option(help="Search by this item instead.")] = None,
    k: Annotated[int, typer.Option(help="Hits a query.")] = 10,
    filter: Annotated[str, typer.Option(help="Such as 'price < 20 and color in [\"red\"]'.")] = "",
    min_score: Annotated[float | None, typer.Option(help="Least score; for l2 largest distance.")] = None,
    tta: Annotated[str | None, typer.Option(help="Views of the query images: flip, five_crop, ...")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures.")] = None,
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = None,
    ca: Ca = None,
    tls: UseTls = False,
    as_json: AsJson = False,
) -> None:
    """Find the nearest items of an index."""
    if not index:
        raise InvalidArgument(
            "which index?", reason="NO_INDEX", hint="--index NAME; `penult index` lists them"
        )
    if bool(paths) == (id is not None):
        raise InvalidArgument("give images to search by, or --id", reason="NO_QUERIES")
    files = [file for path in paths or [] for file in image_files(path)]
    with connect(target, api_key, ca, tls) as client:
        found = client.indexes.get(index)
        results = list(
            found.search_iter(
                files or None,
                ids=None if id is None else [id],
                k=k,
                filter=filter,
                min_score=min_score,
                tta=tta,
            )
        )
        queries = files or [str(id)]
        if html is not None:
            write_hits(html, found, queries, results)
            typer.echo(f"{html}: {len(results)} queries", err=True)
    if as_json:
        rows = [
            {"query": query, "hits": [{"id": h.id, "score": h.score, "metadata": h.metadata} for h in hits]}
            for query, hits in zip(queries, results, strict=True)
        ]
        print_json(rows)
        return
    many = len(queries) > 1
    rows_ = (
        ((query,) if many else ()) + (f"{hit.score:.4f}", hit.id)
        for query, hits in zip(queries, results, strict=True)
        for hit in hits
    )
    print_table((("query",) if many else ()) + ("score", "id"), rows_)
