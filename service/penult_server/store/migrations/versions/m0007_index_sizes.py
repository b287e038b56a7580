"""What indexes take is counted anew, with metadata and pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Marks every index; store.index_sizes counts it, for pictures are files, which no migration sees."""
    op.execute(sa.text("UPDATE indexes SET size_bytes = -1"))
