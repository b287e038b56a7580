"""Models, their versions, and the aliases that point to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("last_version", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_versions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id"), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("job_id", sa.String, unique=True),
        sa.Column("artifact", sa.String, nullable=False),
        sa.Column("facts_json", sa.String, nullable=False),
        sa.Column("evidence_json", sa.String, nullable=False),
        sa.UniqueConstraint("model_id", "version"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_aliases",
        sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id"), primary_key=True),
        sa.Column("alias", sa.String, primary_key=True),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("model_versions.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "model_members",
        sa.Column("version_id", sa.Integer, sa.ForeignKey("model_versions.id"), primary_key=True),
        sa.Column("member_id", sa.Integer, sa.ForeignKey("model_versions.id"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("model_members_by_member", "model_members", ["member_id"])
