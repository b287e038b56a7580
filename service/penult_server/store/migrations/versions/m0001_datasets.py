"""Datasets, their examples, and the writes that were acknowledged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("multi_label", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "examples",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dataset_id", sa.Integer, sa.ForeignKey("datasets.id"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("split", sa.String, nullable=False),
        sa.Column("metadata_json", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.UniqueConstraint("dataset_id", "sha256"),
        sqlite_autoincrement=True,
    )
    op.create_index("examples_by_dataset", "examples", ["dataset_id", "id"])
    op.create_index("examples_by_image", "examples", ["sha256"])
    op.create_table(
        "example_labels",
        sa.Column("example_id", sa.Integer, sa.ForeignKey("examples.id"), primary_key=True),
        sa.Column("label", sa.String, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("example_labels_by_label", "example_labels", ["label", "example_id"])
    op.create_table(
        "acknowledged",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("write", sa.String, nullable=False),
        sa.Column("answer_json", sa.String, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("acknowledged_by_time", "acknowledged", ["at_ms"])
