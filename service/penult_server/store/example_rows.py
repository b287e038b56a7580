"""Rows of examples with their labels: reading, adding, removing. Each call is within a transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import TypeVar

import sqlalchemy as sa

from penult_server.core.datasets import Candidate, Example, ExampleFilter, Split
from penult_server.core.splits import Member
from penult_server.store.dataset_tables import example_labels, examples

T = TypeVar("T")
Rows = list[tuple[int, Example]]
# Fewer than the parameters that any build of SQLite takes in one statement.
_MANY = 900


def find(
    connection: sa.Connection, dataset_id: int, sha256s: Iterable[str]
) -> dict[str, tuple[int, Example]]:
    """Those of the pictures that the dataset holds, by sha256."""
    found: dict[str, tuple[int, Example]] = {}
    for some in batched(set(sha256s)):
        query = sa.select(examples).where(
            examples.c.dataset_id == dataset_id, examples.c.sha256.in_(map(bytes.fromhex, some))
        )
        found.update((row[1].sha256, row) for row in _with_labels(connection, query))
    return found


def page(connection: sa.Connection, dataset_id: int, wanted: ExampleFilter, after: int, limit: int) -> Rows:
    """Examples in the order of their ids, from the one after `after`."""
    query = (
        sa.select(examples)
        .where(examples.c.dataset_id == dataset_id, examples.c.id > after)
        .order_by(examples.c.id)
        .limit(limit)
    )
    labelled = sa.select(example_labels.c.example_id)
    if wanted.splits:
        query = query.where(examples.c.split.in_([split.value for split in wanted.splits]))
    if wanted.labels:
        query = query.where(examples.c.id.in_(labelled.where(example_labels.c.label.in_(wanted.labels))))
    if wanted.unlabelled:
        query = query.where(~sa.exists().where(example_labels.c.example_id == examples.c.id))
    return _with_labels(connection, query)


def members(connection: sa.Connection, dataset_id: int) -> list[Member]:
    """What splitting needs of every example, without reading the rest."""
    query = (
        sa.select(examples.c.id, examples.c.sha256, examples.c.split, example_labels.c.label)
        .join_from(examples, example_labels, isouter=True)
        .where(examples.c.dataset_id == dataset_id)
        .order_by(examples.c.id, example_labels.c.label)
    )
    found = []
    for key, group in groupby(connection.execute(query), key=lambda row: row.id):
        rows = list(group)
        labels = tuple(row.label for row in rows if row.label is not None)
        found.append(Member(key, rows[0].sha256.hex(), Split(rows[0].split), labels))
    return found


def insert(connection: sa.Connection, dataset_id: int, candidates: Sequence[Candidate]) -> None:
    """Adds examples that the dataset does not hold, each picture once."""
    if not candidates:
        return
    rows = [
        {
            "dataset_id": dataset_id,
            "sha256": bytes.fromhex(candidate.image.sha256),
            "split": candidate.new.split.value,
            "metadata_json": candidate.new.metadata_json,
            "name": candidate.new.image.id,
            "width": candidate.image.width,
            "height": candidate.image.height,
            "size_bytes": len(candidate.image.data),
        }
        for candidate in candidates
    ]
    statement = examples.insert().returning(examples.c.id, sort_by_parameter_order=True)
    ids = connection.execute(statement, rows).scalars()
    add_labels(
        connection,
        [(key, label) for key, item in zip(ids, candidates, strict=True) for label in item.new.labels],
    )


def add_labels(connection: sa.Connection, pairs: Sequence[tuple[int, str]]) -> None:
    """Puts labels on examples, by id."""
    if pairs:
        rows = [{"example_id": key, "label": label} for key, label in pairs]
        connection.execute(example_labels.insert(), rows)


def drop_labels(connection: sa.Connection, ids: Collection[int]) -> None:
    """Takes all labels off examples, by id."""
    for some in batched(ids):
        connection.execute(example_labels.delete().where(example_labels.c.example_id.in_(some)))


def set_splits(connection: sa.Connection, splits: Iterable[tuple[int, Split]]) -> None:
    """Puts examples into splits, by id."""
    rows = [{"key": key, "value": split.value} for key, split in splits]
    if rows:
        statement = examples.update().where(examples.c.id == sa.bindparam("key"))
        connection.execute(statement.values(split=sa.bindparam("value")), rows)


def delete(connection: sa.Connection, found: Collection[tuple[int, Example]]) -> list[str]:
    """Removes examples; the pictures that no dataset holds any more."""
    drop_labels(connection, [key for key, _ in found])
    for some in batched(key for key, _ in found):
        connection.execute(examples.delete().where(examples.c.id.in_(some)))
    return unused(connection, [example.sha256 for _, example in found])


def delete_all(connection: sa.Connection, dataset_id: int) -> tuple[int, list[str]]:
    """Removes every example of a dataset; how many, and the pictures that no other one holds."""
    mine = examples.c.dataset_id == dataset_id
    sha256s = [
        sha256.hex() for sha256 in connection.execute(sa.select(examples.c.sha256).where(mine)).scalars()
    ]
    ids = sa.select(examples.c.id).where(mine)
    connection.execute(example_labels.delete().where(example_labels.c.example_id.in_(ids)))
    connection.execute(examples.delete().where(mine))
    return len(sha256s), unused(connection, sha256s)


def unused(connection: sa.Connection, sha256s: Iterable[str]) -> list[str]:
    """Those of the pictures that no dataset holds."""
    wanted = set(sha256s)
    for some in batched(sorted(wanted)):
        query = sa.select(examples.c.sha256).where(examples.c.sha256.in_(map(bytes.fromhex, some)))
        wanted -= {sha256.hex() for sha256 in connection.execute(query).scalars()}
    return sorted(wanted)


def with_prefix(connection: sa.Connection, prefix: str) -> set[str]:
    """All pictures, of whatever dataset, whose sha256 starts with these two hex digits."""
    first = bytes.fromhex(prefix)
    query = sa.select(examples.c.sha256).where(
        examples.c.sha256 >= first, examples.c.sha256 <= first + b"\xff" * 31
    )
    return {sha256.hex() for sha256 in connection.execute(query).scalars()}


def batched(items: Iterable[T]) -> Iterator[list[T]]:
    """Items, few enough at a time for one statement."""
    rest = iter(items)
    while some := list(islice(rest, _MANY)):
        yield some


def _with_labels(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> Rows:
    rows = connection.execute(query).all()
    labels: dict[int, list[str]] = {row.id: [] for row in rows}
    for some in batched(labels):
        chosen = sa.select(example_labels).where(example_labels.c.example_id.in_(some))
        for key, label in connection.execute(chosen.order_by(example_labels.c.label)):
            labels[key].append(label)
    return [
        (
            row.id,
            Example(
                sha256=row.sha256.hex(),
                labels=tuple(labels[row.id]),
                split=Split(row.split),
                metadata_json=row.metadata_json,
                id=row.name,
                width=row.width,
                height=row.height,
                size_bytes=row.size_bytes,
            ),
        )
        for row in rows
    ]
