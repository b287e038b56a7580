"""All rows of one database in another one, of whatever kinds the two are."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from penult_server.store.tables import metadata

_ROWS = 500


def copy_rows(source: sa.Connection, target: sa.Connection) -> None:
    """Replaces all rows of `target`, which has the schema of `source`, within the two transactions.

    Numbers that `source` has given are not given again, whether or not their rows are still there.
    """
    tables = metadata.sorted_tables
    for table in reversed(tables):
        target.execute(table.delete())
    for table in tables:
        rows = source.execute(sa.select(table).execution_options(yield_per=_ROWS))
        for some in rows.mappings().partitions():
            target.execute(table.insert(), [dict(row) for row in some])
        if table.dialect_options["sqlite"]["autoincrement"] and (last := _last_number(source, table)):
            _set_last_number(target, table, last)


def _last_number(connection: sa.Connection, table: sa.Table) -> int:
    """The number that was given last, 0 for none."""
    if connection.dialect.name == "sqlite":
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return int(connection.execute(query, {"name": table.name}).scalar() or 0)
    query = sa.text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {_sequence(table)}")
    return int(connection.execute(query).scalar_one())


def _set_last_number(connection: sa.Connection, table: sa.Table, number: int) -> None:
    values: dict[str, Any] = {"name": table.name, "number": number}
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"), values)
    else:
        connection.execute(sa.text(f"SELECT setval('{_sequence(table)}', :number)"), {"number": number})


def _sequence(table: sa.Table) -> str:
    """As PostgreSQL names that of a SERIAL column."""
    return f"{table.name}_id_seq"
