"""Rows of indexes and aliases. Each call is within a transaction."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from penult_server.core.caller import CALLER
from penult_server.core.errors import AlreadyExists, NotFound
from penult_server.core.features import FeatureOptions
from penult_server.core.index_kinds import IndexSpec, StepSpec
from penult_server.core.indexes import Index, IndexMaker
from penult_server.core.wall_clock import wall_ms
from penult_server.store.index_tables import index_aliases, indexes


def resolve(connection: sa.Connection, name: str) -> int:
    """The id of the index with this name or alias. Raises NotFound."""
    found = connection.execute(sa.select(indexes.c.id).where(indexes.c.name == name)).scalar()
    if found is None:
        query = sa.select(index_aliases.c.index_id).where(index_aliases.c.alias == name)
        found = connection.execute(query).scalar()
    if found is None:
        raise not_found(name)
    return int(found)


def get(connection: sa.Connection, index_id: int) -> Index:
    """One index. Raises NotFound where it was removed."""
    found = _all(connection, sa.select(indexes).where(indexes.c.id == index_id, ~indexes.c.removed))
    if not found:
        raise not_found("")
    return found[0]


def page(connection: sa.Connection, after: str, limit: int | None) -> list[Index]:
    """Indexes by name, from the one after `after`."""
    query = sa.select(indexes).where(indexes.c.name > after).order_by(indexes.c.name)
    return _all(connection, query.limit(limit))


def backbones(connection: sa.Connection) -> list[tuple[str, str]]:
    """Name and backbone of every index of features, by name; "" for one that is being made."""
    query = sa.select(indexes.c.name, indexes.c.maker_json).where(~indexes.c.removed)
    found = [(row.name or "", maker_of(json.loads(row.maker_json))) for row in connection.execute(query)]
    return sorted((name, maker.options.backbone) for name, maker in found if maker.options is not None)


def insert(connection: sa.Connection, name: str | None, maker: IndexMaker) -> int:
    """A new index of a name that is free, and its id."""
    statement = indexes.insert().values(
        name=name,
        removed=False,
        maker_json=json.dumps(dataclasses.asdict(maker)),
        created_ms=wall_ms(),
        sequence=0,
        next_key=0,
        item_count=0,
        snapshot_sequence=0,
        snapshot_bytes=0,
        owner=CALLER.get(),
        size_bytes=0,
    )
    key = connection.execute(statement).inserted_primary_key
    assert key is not None
    return int(key[0])


def count(connection: sa.Connection) -> int:
    """How many there are, those that are being made among them."""
    query = sa.select(sa.func.count()).select_from(indexes).where(~indexes.c.removed)
    return int(connection.execute(query).scalar_one())


def check_free(connection: sa.Connection, name: str) -> None:
    """Raises AlreadyExists where an index or an alias has this name."""
    for column, what in ((indexes.c.name, "an index"), (index_aliases.c.alias, "an alias")):
        if connection.execute(sa.select(column).where(column == name)).first():
            raise AlreadyExists("INDEX_EXISTS", f"there is {what} {name!r}", hint="choose another name")


def update(connection: sa.Connection, index_id: int, **values: Any) -> None:
    """Sets columns of one index."""
    connection.execute(indexes.update().where(indexes.c.id == index_id).values(**values))


def aliases_of(connection: sa.Connection, index_id: int) -> list[str]:
    """Sorted."""
    query = sa.select(index_aliases.c.alias).where(index_aliases.c.index_id == index_id)
    return sorted(connection.execute(query).scalars())


def set_alias(connection: sa.Connection, alias: str, index_id: int) -> None:
    """Points it there. Raises AlreadyExists where an index has this name."""
    if connection.execute(sa.select(indexes.c.id).where(indexes.c.name == alias)).first():
        raise AlreadyExists(
            "INDEX_EXISTS", f"there is an index {alias!r}", hint="choose another name for the alias"
        )
    delete_alias(connection, alias)
    connection.execute(index_aliases.insert().values(alias=alias, index_id=index_id))


def delete_alias(connection: sa.Connection, alias: str) -> bool:
    """Forgets it; whether there was one."""
    return bool(connection.execute(index_aliases.delete().where(index_aliases.c.alias == alias)).rowcount)


def not_found(name: str) -> NotFound:
    """What calls on an unknown index answer."""
    what = f"there is no index {name[:80]!r}" if name else "the index was deleted"
    return NotFound("INDEX_NOT_FOUND", what, hint="ListIndexes says which there are")


def _all(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Index]:
    rows = connection.execute(query).all()
    names: dict[int, list[str]] = {row.id: [] for row in rows}
    chosen = sa.select(index_aliases).order_by(index_aliases.c.alias)
    for alias, index_id in connection.execute(chosen):
        names.get(index_id, []).append(alias)
    return [
        Index(
            row.id, row.name or "", maker_of(json.loads(row.maker_json)), row.created_ms, row.sequence,
            row.item_count, tuple(names[row.id]), row.snapshot_sequence, row.snapshot_bytes,
        )
        for row in rows
    ]  # fmt: skip


def maker_of(facts: dict[str, Any]) -> IndexMaker:
    """From what dataclasses.asdict gave. Raises KeyError, TypeError or ValueError for anything else."""
    spec, options = facts["spec"], facts["options"]
    return IndexMaker(
        **{
            **facts,
            "spec": IndexSpec(**{**spec, "steps": tuple(StepSpec(**step) for step in spec["steps"])}),
            "options": None if options is None else FeatureOptions.of(options),
        }
    )


def ids_with(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Sequence[int]:
    """Ids of the indexes for which this holds."""
    return list(connection.execute(sa.select(indexes.c.id).where(condition)).scalars())
