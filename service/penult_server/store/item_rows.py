"""Rows of index items. Each call is within a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from penult_server.core.filters import Exists, Filter, matches
from penult_server.core.indexes import Candidate, Item, metadata_of
from penult_server.store.example_rows import batched
from penult_server.store.index_tables import KEY_BITS, index_items, index_tombstones, index_vectors
from penult_server.store.item_filters import NotInSqlError, condition
from penult_server.store.item_narrowing import narrowing

_ITEM = (
    index_items.c.key,
    index_items.c.id,
    index_items.c.metadata_json,
    index_items.c.image_sha256,
    index_items.c.sequence,
)
_LOOKED_AT = 2000


def of_index(index_id: int) -> sa.ColumnElement[bool]:
    """Whose key is one of this index."""
    first = index_id << KEY_BITS
    return index_items.c.key.between(first, first + (1 << KEY_BITS) - 1)


def by_keys(connection: sa.Connection, keys: Iterable[int]) -> dict[int, Item]:
    """Those that there are."""
    found: dict[int, Item] = {}
    for some in batched(keys):
        for row in connection.execute(sa.select(*_ITEM).where(index_items.c.key.in_(some))):
            found[row[0]] = item(row)
    return found


def by_ids(connection: sa.Connection, index_id: int, ids: Iterable[str]) -> dict[str, Item]:
    """Those that there are."""
    found: dict[str, Item] = {}
    for some in batched(item_id for item_id in ids if "\0" not in item_id):  # PostgreSQL takes no NUL
        query = sa.select(*_ITEM).where(index_items.c.index_id == index_id, index_items.c.id.in_(some))
        for row in connection.execute(query):
            found[row[1]] = item(row)
    return found


def page(
    connection: sa.Connection, index_id: int, wanted: Filter | None, after: int, limit: int
) -> list[Item]:
    """Items that match by rising key, from the one after `after`."""
    query = sa.select(*_ITEM).where(of_index(index_id), index_items.c.key > after).order_by(index_items.c.key)
    if wanted is None:
        return list(map(item, connection.execute(query.limit(limit))))
    said, exactly = _matching(connection, wanted)
    if exactly:
        return list(map(item, connection.execute(query.where(said).limit(limit))))
    found: list[Item] = []
    for row in connection.execute(query.where(said).execution_options(yield_per=_LOOKED_AT)):
        if matches(wanted, metadata_of(row[2])):
            found.append(item(row))
            if len(found) == limit:
                break
    return found


def matching_keys(connection: sa.Connection, index_id: int, wanted: Filter, after: int) -> np.ndarray:
    """Keys of the items that match, of those which writes after this number made as they are; int64 (N,)."""
    query = sa.select(index_items.c.key).where(of_index(index_id))
    if after:
        query = sa.select(index_items.c.key).where(
            index_items.c.index_id == index_id, index_items.c.sequence > after
        )
    said, exactly = _matching(connection, wanted)
    if exactly:
        return np.asarray(connection.execute(query.where(said)).scalars().all(), np.int64)
    query = query.where(said).add_columns(index_items.c.metadata_json)
    rows = connection.execute(query.execution_options(yield_per=_LOOKED_AT))
    keys = [key for key, text in rows if matches(wanted, metadata_of(text))]
    return np.asarray(keys, np.int64)


def touched_keys(connection: sa.Connection, index_id: int, after: int) -> np.ndarray:
    """Keys that writes after this number changed or removed; int64 (N,)."""
    changed = sa.select(index_items.c.key).where(
        index_items.c.index_id == index_id, index_items.c.sequence > after
    )
    gone = sa.select(index_tombstones.c.key).where(
        index_tombstones.c.index_id == index_id, index_tombstones.c.sequence > after
    )
    return np.asarray(
        [key for query in (changed, gone) for key in connection.execute(query).scalars()], np.int64
    )


def insert(
    connection: sa.Connection, index_id: int, sequence: int, new: Sequence[tuple[int, Candidate]]
) -> None:
    """New items under their keys."""
    if new:
        rows = [_row(key, candidate, sequence) | {"index_id": index_id} for key, candidate in new]
        connection.execute(index_items.insert(), rows)
        connection.execute(index_vectors.insert(), [_vector(key, candidate) for key, candidate in new])


def replace(connection: sa.Connection, sequence: int, changed: Sequence[tuple[int, Candidate]]) -> None:
    """Other contents for items that there are."""
    if changed:
        rows = [
            {f"new_{name}": value for name, value in _row(key, item, sequence).items()}
            for key, item in changed
        ]
        connection.execute(_REPLACE, rows)
        vectors = [{"new_key": key, "new_vector": _bytes(item)} for key, item in changed]
        connection.execute(_REPLACE_VECTOR, vectors)


def delete(connection: sa.Connection, index_id: int, sequence: int, keys: Sequence[int]) -> None:
    """Takes items away, and remembers that they are gone."""
    for some in batched(keys):
        connection.execute(index_items.delete().where(index_items.c.key.in_(some)))
        connection.execute(index_vectors.delete().where(index_vectors.c.key.in_(some)))
    rows = [{"index_id": index_id, "sequence": sequence, "key": key} for key in keys]
    if rows:
        connection.execute(index_tombstones.insert(), rows)


def vectors(connection: sa.Connection, keys: Iterable[int]) -> dict[int, np.ndarray]:
    """float32 (dim,), those that there are."""
    found = {}
    for some in batched(keys):
        query = sa.select(index_vectors).where(index_vectors.c.key.in_(some))
        for key, data in connection.execute(query):
            found[key] = np.frombuffer(data, "<f4")
    return found


def changed(
    connection: sa.Connection, index_id: int, after: tuple[int, int], upto: int, limit: int
) -> list[tuple[int, int, bytes]]:
    """(sequence, key, vector) in that order, from the one after `after`, up to this sequence number."""
    place = sa.tuple_(index_items.c.sequence, index_items.c.key)
    query = (
        sa.select(index_items.c.sequence, index_items.c.key, index_vectors.c.vector)
        .join_from(index_items, index_vectors, index_items.c.key == index_vectors.c.key)
        .where(
            index_items.c.index_id == index_id,
            index_items.c.sequence <= upto,
            place > sa.tuple_(*map(sa.literal, after)),
        )
        .order_by(index_items.c.sequence, index_items.c.key)
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def tombstones(connection: sa.Connection, index_id: int, after: int, upto: int) -> list[int]:
    """Keys that writes with these numbers removed."""
    query = sa.select(index_tombstones.c.key).where(
        index_tombstones.c.index_id == index_id,
        index_tombstones.c.sequence > after,
        index_tombstones.c.sequence <= upto,
    )
    return list(connection.execute(query).scalars())


def unused(connection: sa.Connection, sha256s: Iterable[str]) -> list[str]:
    """Those of the pictures that no item of any index has."""
    wanted = set(sha256s)
    for some in batched(sorted(wanted)):
        query = sa.select(index_items.c.image_sha256).where(
            index_items.c.image_sha256.in_(map(bytes.fromhex, some))
        )
        wanted -= {sha256.hex() for sha256 in connection.execute(query).scalars()}
    return sorted(wanted)


def with_prefix(connection: sa.Connection, prefix: str) -> set[str]:
    """All pictures, of whatever index, whose sha256 starts with these two hex digits."""
    first = bytes.fromhex(prefix)
    query = sa.select(index_items.c.image_sha256).where(
        index_items.c.image_sha256 >= first, index_items.c.image_sha256 <= first + b"\xff" * 31
    )
    return {sha256.hex() for sha256 in connection.execute(query).scalars()}


def pictures(connection: sa.Connection, index_id: int) -> set[str]:
    """All pictures of an index's items."""
    query = sa.select(index_items.c.image_sha256.distinct())
    query = query.where(of_index(index_id), index_items.c.image_sha256.is_not(None))
    return {sha256.hex() for sha256 in connection.execute(query).scalars()}


def labels(connection: sa.Connection, index_id: int, field: str) -> dict[int, str]:
    """The text under this name in the metadata, by key, of the items that have some."""
    if connection.dialect.name != "sqlite":
        query = sa.select(index_items.c.key, index_items.c.metadata_json).where(of_index(index_id))
        named = query.where(_matching(connection, Exists((field,)))[0])
        values = ((key, metadata_of(text).get(field)) for key, text in connection.execute(named))
        return {key: value for key, value in values if isinstance(value, str)}
    path = f'$."{field}"'
    found = sa.func.json_extract(index_items.c.metadata_json, path)
    query = sa.select(index_items.c.key, found).where(
        of_index(index_id), sa.func.json_type(index_items.c.metadata_json, path) == "text"
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def item(row: Sequence[Any]) -> Item:
    """A row as an item."""
    key, item_id, text, sha256, sequence = row
    return Item(key, item_id, "" if text == "{}" else text, sha256.hex() if sha256 else "", sequence)


def _matching(connection: sa.Connection, wanted: Filter) -> tuple[sa.ColumnElement[bool], bool]:
    """What SQL says of the items that match; and whether that is all, or the rows must be looked at."""
    if connection.dialect.name == "sqlite":
        try:
            expression, parameters = condition(wanted, "index_items.metadata_json")
            return sa.text(expression).bindparams(**parameters), True  # type: ignore[return-value]  # serves as one
        except NotInSqlError:
            return sa.true(), False
    said = narrowing(wanted, index_items.c.metadata_json)
    return sa.true() if said is None else said, False


def _row(key: int, candidate: Candidate, sequence: int) -> dict[str, Any]:
    return {
        "key": key,
        "sequence": sequence,
        "id": candidate.id,
        "metadata_json": candidate.metadata_json or "{}",
        "image_sha256": bytes.fromhex(candidate.image_sha256) or None,
    }


def _vector(key: int, candidate: Candidate) -> Mapping[str, Any]:
    return {"key": key, "vector": _bytes(candidate)}


def _bytes(candidate: Candidate) -> bytes:
    assert candidate.vector is not None
    return candidate.vector.astype("<f4", copy=False).tobytes()


_REPLACE = (
    index_items.update()
    .where(index_items.c.key == sa.bindparam("new_key"))
    .values(
        {name: sa.bindparam(f"new_{name}") for name in ("sequence", "id", "metadata_json", "image_sha256")}
    )
)
_REPLACE_VECTOR = (
    index_vectors.update()
    .where(index_vectors.c.key == sa.bindparam("new_key"))
    .values(vector=sa.bindparam("new_vector"))
)
