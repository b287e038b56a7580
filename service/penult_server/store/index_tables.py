"""Tables of indexes; migrations/versions/m0004_indexes.py creates them."""

from __future__ import annotations

import sqlalchemy as sa

from penult_server.store.database import metadata

KEY_BITS = 40
"""Keys of one index are its id, shifted by so many bits, and a number: its items lie together in the file."""

indexes = sa.Table(
    "indexes",
    metadata,
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
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
"""No name: not complete yet, or removed and its items on their way out. Ids are never used again."""

index_items = sa.Table(
    "index_items",
    metadata,
    sa.Column(
        "key", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    sa.Column("index_id", sa.Integer, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("metadata_json", sa.String, nullable=False),
    sa.Column("image_sha256", sa.LargeBinary(32)),
    sa.UniqueConstraint("index_id", "id"),
    sa.Index("index_items_by_sequence", "index_id", "sequence", "key"),
    sa.Index("index_items_by_image", "image_sha256", "index_id"),
)
"""Beside its vector, not with it: filters read through all of these rows. "{}" stands for no metadata."""

index_vectors = sa.Table(
    "index_vectors",
    metadata,
    sa.Column(
        "key", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
"""float32, little-endian, as it was added."""

index_tombstones = sa.Table(
    "index_tombstones",
    metadata,
    sa.Column("index_id", sa.Integer, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""Keys that are gone, until the snapshot file knows it."""

index_aliases = sa.Table(
    "index_aliases",
    metadata,
    sa.Column("alias", sa.String, primary_key=True),
    sa.Column("index_id", sa.Integer, sa.ForeignKey("indexes.id"), nullable=False),
    sqlite_with_rowid=False,
)
