"""Tables of datasets; migrations/versions/m0001_datasets.py creates them."""

from __future__ import annotations

import sqlalchemy as sa

from penult_server.store.database import metadata

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("multi_label", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
"""A name that is used again gets a new id: work on the old dataset never sees the new one."""

examples = sa.Table(
    "examples",
    metadata,
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
    sa.Index("examples_by_dataset", "dataset_id", "id"),
    sa.Index("examples_by_image", "sha256"),
    sqlite_autoincrement=True,
)
"""Ids grow, so that pages by id go in the order of adding. `name` is the caller's id of the image."""

example_labels = sa.Table(
    "example_labels",
    metadata,
    sa.Column("example_id", sa.Integer, sa.ForeignKey("examples.id"), primary_key=True),
    sa.Column("label", sa.String, primary_key=True),
    sa.Index("example_labels_by_label", "label", "example_id"),
    sqlite_with_rowid=False,
)
