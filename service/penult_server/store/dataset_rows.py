"""Rows of datasets with the counts of their examples. Each call is within a transaction."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from penult_server.core.caller import CALLER
from penult_server.core.datasets import ClassCount, Dataset, Split
from penult_server.core.errors import NotFound
from penult_server.core.wall_clock import wall_ms
from penult_server.store.dataset_tables import datasets, example_labels, examples


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What every access to a dataset needs; counting its examples would cost more than most of them."""

    id: int
    multi_label: bool
    revision: int


def find(connection: sa.Connection, name: str) -> Found:
    """One dataset, not counted. Raises NotFound."""
    row = connection.execute(sa.select(datasets).where(datasets.c.name == name)).first()
    if row is None:
        raise _not_found(name)
    return Found(row.id, row.multi_label, row.revision)


def get(connection: sa.Connection, name: str, *, classes: bool) -> Dataset:
    """One dataset with its counts. Raises NotFound."""
    found = _all(connection, sa.select(datasets).where(datasets.c.name == name))
    if not found:
        raise _not_found(name)
    return _with_classes(connection, found[0]) if classes else found[0]


def page(connection: sa.Connection, after: str, limit: int) -> list[Dataset]:
    """Datasets by name, from the one after `after`."""
    query = sa.select(datasets).where(datasets.c.name > after).order_by(datasets.c.name).limit(limit)
    return _all(connection, query)


def owner(connection: sa.Connection, dataset: Dataset) -> str:
    """Id of the API key that made it, "" for none.

    Raises NotFound where it was deleted, even if another one has its name now.
    """
    row = connection.execute(sa.select(datasets.c.owner).where(datasets.c.id == dataset.id)).first()
    if row is None:
        raise _not_found(dataset.name)
    return str(row.owner)


def count(connection: sa.Connection) -> int:
    """How many there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(datasets)).scalar_one())


def insert(connection: sa.Connection, name: str, multi_label: bool) -> None:
    """A new one, of whoever calls."""
    now_ms = wall_ms()
    connection.execute(
        datasets.insert().values(
            name=name,
            multi_label=multi_label,
            created_ms=now_ms,
            revision=0,
            owner=CALLER.get(),
            size_bytes=0,
        )
    )


def touch(connection: sa.Connection, dataset_id: int, more_bytes: int = 0) -> None:
    """Says that the examples have changed, and by how many bytes of images."""
    statement = datasets.update().where(datasets.c.id == dataset_id)
    connection.execute(
        statement.values(revision=datasets.c.revision + 1, size_bytes=datasets.c.size_bytes + more_bytes)
    )


def _all(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Dataset]:
    rows = connection.execute(query).all()
    counts: dict[int, dict[Split, int]] = {row.id: {} for row in rows}
    sizes = dict.fromkeys(counts, 0)
    totals = (
        sa.select(
            examples.c.dataset_id, examples.c.split, sa.func.count(), sa.func.sum(examples.c.size_bytes)
        )
        .where(examples.c.dataset_id.in_(list(counts)))
        .group_by(examples.c.dataset_id, examples.c.split)
    )
    for key, split, count, size in connection.execute(totals):
        counts[key][Split(split)] = count
        sizes[key] += size
    return [
        Dataset(
            row.id, row.name, row.multi_label, row.created_ms, row.revision, counts[row.id], sizes[row.id]
        )
        for row in rows
    ]


def _with_classes(connection: sa.Connection, dataset: Dataset) -> Dataset:
    query = (
        sa.select(example_labels.c.label, examples.c.split, sa.func.count())
        .join_from(examples, example_labels, isouter=True)
        .where(examples.c.dataset_id == dataset.id)
        .group_by(example_labels.c.label, examples.c.split)
    )
    unlabelled: dict[Split, int] = {}
    classes: dict[str, dict[Split, int]] = {}
    for label, split, count in connection.execute(query):
        counts = unlabelled if label is None else classes.setdefault(label, {})
        counts[Split(split)] = count
    ordered = [ClassCount(label, counts) for label, counts in sorted(classes.items())]
    return dataclasses.replace(dataset, classes=ordered, unlabelled=unlabelled)


def _not_found(name: str) -> NotFound:
    return NotFound(
        "DATASET_NOT_FOUND", f"there is no dataset {name[:80]!r}", hint="ListDatasets says which there are"
    )
