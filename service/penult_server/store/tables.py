"""Every table, for what looks at the whole database."""

from __future__ import annotations

from penult_server.store import (  # noqa: F401 - each adds its tables
    acknowledged,
    api_keys,
    dataset_tables,
    index_tables,
    job_tables,
    model_tables,
)
from penult_server.store.database import metadata

__all__ = ["metadata"]
