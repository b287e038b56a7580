"""Whose things are, and how many bytes they take."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Adds the columns. Of indexes, the pictures that are there already are not counted."""
    for table in ("datasets", "jobs", "models", "indexes"):
        op.add_column(table, sa.Column("owner", sa.String, nullable=False, server_default=""))
    for table in ("datasets", "model_versions", "indexes"):
        op.add_column(table, sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("jobs_by_owner", "jobs", ["owner", "state"])
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "UPDATE datasets SET size_bytes = (SELECT coalesce(sum(size_bytes), 0) FROM examples "
            "WHERE examples.dataset_id = datasets.id)"
        )
    )
    for key, facts in connection.execute(sa.text("SELECT id, facts_json FROM model_versions")).all():
        _set(connection, "model_versions", key, json.loads(facts)["size_bytes"])
    for key, maker, count in connection.execute(
        sa.text("SELECT id, maker_json, item_count FROM indexes")
    ).all():
        _set(connection, "indexes", key, 4 * json.loads(maker)["spec"]["dim"] * count)


def _set(connection: sa.Connection, table: str, key: int, size: int) -> None:
    connection.execute(
        sa.text(f"UPDATE {table} SET size_bytes = :size WHERE id = :key"), {"size": size, "key": key}
    )
