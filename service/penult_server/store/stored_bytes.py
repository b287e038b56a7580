"""How many bytes are kept, of all and of what one API key has made. Each call is within a transaction."""

from __future__ import annotations

import sqlalchemy as sa

from penult_server.core.quotas import Quotas
from penult_server.store.dataset_tables import datasets
from penult_server.store.index_tables import indexes
from penult_server.store.model_tables import model_versions, models


def check_stored(connection: sa.Connection, quotas: Quotas, owner: str, more: int) -> None:
    """Before `more` bytes of something that this key has made. Raises ResourceExhausted STORAGE_QUOTA."""
    if more > 0 and quotas.bound_bytes:
        of_key = stored(connection, owner) if owner else None
        quotas.stored(stored(connection, None), of_key, more)


def stored(connection: sa.Connection, owner: str | None) -> int:
    """Bytes of all, or of what one key has made."""
    queries = (
        sa.select(sa.func.sum(datasets.c.size_bytes)),
        sa.select(sa.func.sum(indexes.c.size_bytes)).where(~indexes.c.removed),
        sa.select(sa.func.sum(model_versions.c.size_bytes)).join_from(model_versions, models),
    )
    tables = (datasets, indexes, models)
    found = 0
    for query, table in zip(queries, tables, strict=True):
        mine = query if owner is None else query.where(table.c.owner == owner)
        found += int(connection.execute(mine).scalar() or 0)
    return found
