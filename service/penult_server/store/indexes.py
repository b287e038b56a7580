"""Indexes, their aliases and snapshot files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from penult_server.core.errors import FailedPrecondition, InvalidArgument, NotFound
from penult_server.core.index_kinds import SnapshotFacts
from penult_server.core.indexes import Index, IndexMaker
from penult_server.core.quotas import NO_QUOTAS, Quotas
from penult_server.store import acknowledged, index_rows, item_rows
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.example_rows import batched
from penult_server.store.index_items import DatabaseItems
from penult_server.store.index_sizes import count_sizes
from penult_server.store.index_tables import (
    index_aliases,
    index_items,
    index_tombstones,
    index_vectors,
    indexes,
)

_SWEPT = 2000
"""Items that one step of `sweep` removes: other writes wait for a step, not for a whole index."""


class DatabaseIndexes:
    """Implements core.index_store_ports.IndexStore, which says what the methods do."""

    def __init__(
        self,
        database: Database,
        items: DatabaseItems,
        images: Blobs,
        directory: Path,
        quotas: Quotas = NO_QUOTAS,
    ) -> None:
        """`directory` is for the snapshot files. What was begun and never published is marked as removed."""
        self._database = database
        self._items = items
        self._images = images
        self._directory = directory
        self._quotas = quotas
        directory.mkdir(parents=True, exist_ok=True)
        with database.write() as connection:
            connection.execute(indexes.update().where(indexes.c.name.is_(None)).values(removed=True))
            count_sizes(connection, images)
            query = sa.select(indexes.c.id, indexes.c.snapshot_sequence).where(~indexes.c.removed)
            wanted = {self.snapshot_path(*row) for row in connection.execute(query)}
        for file in directory.iterdir():
            if file not in wanted:
                file.unlink()

    def create(self, name: str, maker: IndexMaker, request_id: str) -> Index:
        """See core.index_store_ports.IndexStore."""
        write = f"CreateIndex {name}"
        with self._database.write() as connection:
            before = acknowledged.recall(connection, request_id, write)
            if before is None:
                before = self._insert(connection, name, maker)
                acknowledged.remember(connection, request_id, write, before)
            return index_rows.get(connection, before)

    def check_free(self, name: str) -> None:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            index_rows.check_free(connection, name)

    def begin(self, maker: IndexMaker) -> Index:
        """See core.index_store_ports.IndexStore."""
        with self._database.write() as connection:
            return index_rows.get(connection, self._insert(connection, None, maker))

    def publish(self, index_id: int, name: str, alias: str, request_id: str) -> Index:
        """See core.index_store_ports.IndexStore."""
        with self._database.write() as connection:
            index_rows.check_free(connection, name)
            index_rows.update(connection, index_id, name=name)
            if alias:
                index_rows.set_alias(connection, alias, index_id)
            acknowledged.remember(connection, request_id, f"PublishIndex {name}", index_id)
            return index_rows.get(connection, index_id)

    def repeated(self, name: str, request_id: str) -> Index | None:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            before = acknowledged.recall(connection, request_id, f"PublishIndex {name}")
            return None if before is None else index_rows.get(connection, before)

    def abandon(self, index_id: int) -> None:
        """See core.index_store_ports.IndexStore."""
        unnamed = (indexes.c.id == index_id) & indexes.c.name.is_(None)
        with self._database.write() as connection:
            connection.execute(indexes.update().where(unnamed).values(removed=True))

    def get(self, name: str) -> Index:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            return index_rows.get(connection, index_rows.resolve(connection, name))

    def by_id(self, index_id: int) -> Index:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            return index_rows.get(connection, index_id)

    def list(self, after: str, limit: int) -> Sequence[Index]:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            return index_rows.page(connection, after, limit)

    def all(self) -> Sequence[Index]:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            return index_rows.page(connection, "", None)

    def delete(self, name: str, request_id: str) -> tuple[int, int]:
        """See core.index_store_ports.IndexStore."""
        write = f"DeleteIndex {name}"
        with self._database.write() as connection:
            before = acknowledged.recall(connection, request_id, write)
            if before is not None:
                return 0, int(before)
            index = index_rows.get(connection, index_rows.resolve(connection, name))
            if index.name != name:
                raise InvalidArgument(
                    "INDEX_IS_ALIAS",
                    f"{name!r} is an alias of index {index.name!r}",
                    field="name",
                    hint="name the index itself, or use DeleteIndexAlias",
                )
            if index.aliases:
                raise FailedPrecondition(
                    "INDEX_HAS_ALIAS",
                    f"alias {index.aliases[0]!r} points to index {name!r}",
                    hint="point it elsewhere or delete it first",
                )
            index_rows.update(connection, index.id, name=None, removed=True)
            acknowledged.remember(connection, request_id, write, index.item_count)
        if index.snapshot_sequence:
            self.snapshot_path(index.id, index.snapshot_sequence).unlink(missing_ok=True)
        return index.id, index.item_count

    def sweep(self) -> bool:
        """See core.index_store_ports.IndexStore."""
        with self._items.files:
            with self._database.write() as connection:
                index_id = next(iter(index_rows.ids_with(connection, indexes.c.removed)), None)
                if index_id is None:
                    return False
                items = item_rows.page(connection, index_id, None, 0, _SWEPT)
                keys = [item.key for item in items]
                for some in batched(keys):
                    connection.execute(index_items.delete().where(index_items.c.key.in_(some)))
                    connection.execute(index_vectors.delete().where(index_vectors.c.key.in_(some)))
                if not items:
                    gone = index_tombstones.c.index_id == index_id
                    connection.execute(index_tombstones.delete().where(gone))
                    connection.execute(indexes.delete().where(indexes.c.id == index_id))
                orphans = item_rows.unused(connection, {item.image_sha256 for item in items} - {""})
            self._images.discard(orphans)
        return True

    def set_alias(self, alias: str, name: str, request_id: str) -> Index:
        """See core.index_store_ports.IndexStore."""
        write = f"SetIndexAlias {alias} {name}"
        with self._database.write() as connection:
            before = acknowledged.recall(connection, request_id, write)
            if before is None:
                before = index_rows.resolve(connection, name)
                index_rows.set_alias(connection, alias, before)
                acknowledged.remember(connection, request_id, write, before)
            return index_rows.get(connection, before)

    def delete_alias(self, alias: str, request_id: str) -> None:
        """See core.index_store_ports.IndexStore."""
        write = f"DeleteIndexAlias {alias}"
        with self._database.write() as connection:
            if acknowledged.recall(connection, request_id, write) is None:
                if not index_rows.delete_alias(connection, alias):
                    raise NotFound(
                        "ALIAS_NOT_FOUND", f"there is no alias {alias[:80]!r}", hint="ListIndexes shows them"
                    )
                acknowledged.remember(connection, request_id, write, True)

    def is_alias(self, name: str) -> bool:
        """See core.index_store_ports.IndexStore."""
        with self._database.read() as connection:
            query = sa.select(index_aliases.c.alias).where(index_aliases.c.alias == name)
            return connection.execute(query).first() is not None

    def snapshot_path(self, index_id: int, sequence: int) -> Path:
        """See core.index_store_ports.IndexStore."""
        return self._directory / f"{index_id}-{sequence}.snapshot"

    def record_snapshot(self, index_id: int, facts: SnapshotFacts) -> None:
        """See core.index_store_ports.IndexStore."""
        with self._database.write() as connection:
            index = index_rows.get(connection, index_id)
            index_rows.update(
                connection, index_id, snapshot_sequence=facts.sequence, snapshot_bytes=facts.bytes
            )
            older = (index_tombstones.c.index_id == index_id) & (
                index_tombstones.c.sequence <= facts.sequence
            )
            connection.execute(index_tombstones.delete().where(older))
        if index.snapshot_sequence not in (0, facts.sequence):
            self.snapshot_path(index_id, index.snapshot_sequence).unlink(missing_ok=True)

    def _insert(self, connection: sa.Connection, name: str | None, maker: IndexMaker) -> int:
        if name is not None:
            index_rows.check_free(connection, name)
        self._quotas.one_more("indexes", index_rows.count(connection))
        return index_rows.insert(connection, name, maker)
