"""Tables of jobs; migrations/versions/m0002_jobs.py creates them."""

from __future__ import annotations

import sqlalchemy as sa

from penult_server.store.database import metadata

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("facts_json", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Index("jobs_by_state", "state", "id"),
    sa.Index("jobs_by_end", "ended"),
    sa.Index("jobs_by_owner", "owner", "state"),
    sqlite_with_rowid=False,
)
"""Ids sort by the time of making. `facts_json` holds what no query asks for."""

job_events = sa.Table(
    "job_events",
    metadata,
    sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("body_json", sa.String, nullable=False),
    sqlite_with_rowid=False,
)
