"""Indexes, their items and aliases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "indexes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, unique=True),
        sa.Column("removed", sa.Boolean, nullable=False),
        sa.Column("maker_json", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("next_key", sa.BigInteger, nullable=False),
        sa.Column("item_count", sa.BigInteger, nullable=False),
        sa.Column("snapshot_sequence", sa.BigInteger, nullable=False),
        sa.Column("snapshot_bytes", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "index_items",
        sa.Column("key", _KEY, primary_key=True, autoincrement=False),
        sa.Column("index_id", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("metadata_json", sa.String, nullable=False),
        sa.Column("image_sha256", sa.LargeBinary(32)),
        sa.UniqueConstraint("index_id", "id"),
    )
    op.create_index("index_items_by_sequence", "index_items", ["index_id", "sequence", "key"])
    op.create_index("index_items_by_image", "index_items", ["image_sha256", "index_id"])
    op.create_table(
        "index_vectors",
        sa.Column("key", _KEY, primary_key=True, autoincrement=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "index_tombstones",
        sa.Column("index_id", sa.Integer, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("key", sa.BigInteger, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "index_aliases",
        sa.Column("alias", sa.String, primary_key=True),
        sa.Column("index_id", sa.Integer, sa.ForeignKey("indexes.id"), nullable=False),
        sqlite_with_rowid=False,
    )
