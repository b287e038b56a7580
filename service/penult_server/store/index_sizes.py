"""How many bytes an index takes, where an older version did not count all of them."""

from __future__ import annotations

import json

import sqlalchemy as sa

from penult_server.store.blobs import Blobs
from penult_server.store.index_rows import maker_of, update
from penult_server.store.index_tables import index_items, indexes

_UNKNOWN = -1
"""What migrations/versions/m0007_index_sizes.py leaves behind."""


def count_sizes(connection: sa.Connection, images: Blobs) -> None:
    """Counts vectors, metadata and pictures of each index whose size is not known, as writes count them."""
    unknown = sa.select(indexes.c.id, indexes.c.maker_json).where(indexes.c.size_bytes == _UNKNOWN)
    for index_id, maker_json in connection.execute(unknown).all():
        maker, size = maker_of(json.loads(maker_json)), 0
        length = sa.func.length(sa.func.nullif(index_items.c.metadata_json, "{}"))
        items = sa.select(length, index_items.c.image_sha256).where(index_items.c.index_id == index_id)
        for metadata, sha256 in connection.execute(items):
            picture = images.size(sha256.hex()) if maker.keeps_images and sha256 else 0
            size += 4 * maker.spec.dim + (metadata or 0) + picture
        update(connection, index_id, size_bytes=size)
