"""Tables of models; migrations/versions has the step that creates them."""

from __future__ import annotations

import sqlalchemy as sa

from penult_server.store.database import metadata

models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("last_version", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
"""`last_version` is the number that was given last; a version that was removed leaves its own unused."""

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("job_id", sa.String, unique=True),
    sa.Column("artifact", sa.String, nullable=False),
    sa.Column("facts_json", sa.String, nullable=False),
    sa.Column("evidence_json", sa.String, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.UniqueConstraint("model_id", "version"),
    sqlite_autoincrement=True,
)
"""`facts_json` holds what no query asks for; `evidence_json` what only a description shows, "" for none."""

model_aliases = sa.Table(
    "model_aliases",
    metadata,
    sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id"), primary_key=True),
    sa.Column("alias", sa.String, primary_key=True),
    sa.Column("version_id", sa.Integer, sa.ForeignKey("model_versions.id"), nullable=False),
    sqlite_with_rowid=False,
)

model_members = sa.Table(
    "model_members",
    metadata,
    sa.Column("version_id", sa.Integer, sa.ForeignKey("model_versions.id"), primary_key=True),
    sa.Column("member_id", sa.Integer, sa.ForeignKey("model_versions.id"), primary_key=True),
    sa.Index("model_members_by_member", "member_id"),
    sqlite_with_rowid=False,
)
"""Which versions an ensemble is made of, and whose own backbone a head takes the features of."""
