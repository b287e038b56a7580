"""SQLite in one file: write-ahead log, every commit on disk before it returns."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError

from penult_server.core.disk_faults import disk_full, disk_read_only
from penult_server.core.errors import DataLoss, PenultError

# A write waits for the one before it; only a process that is no server could hold the lock for long.
_BUSY_MILLISECONDS = 30_000
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)
_IMMEDIATE = "penult_immediate"


class Sqlite:
    """Implements store.dialect.Dialect."""

    def __init__(self, path: Path) -> None:
        """The file is made with its folder when it is used."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.engine = create_engine(f"sqlite:///{path}")
        self.reading: dict[str, Any] = {}
        self.writing: dict[str, Any] = {_IMMEDIATE: True}
        event.listen(self.engine, "connect", _configure)
        event.listen(self.engine, "begin", _begin)

    def lock(self, connection: Connection) -> None:
        """See Dialect: BEGIN IMMEDIATE has done it."""

    def migrated(self, connection: Connection) -> None:
        """See Dialect: nothing is left to do."""

    def refusal(self, error: DatabaseError) -> PenultError | None:
        """See Dialect."""
        text = str(error.orig)
        if "disk is full" in text:
            return disk_full()
        if "readonly database" in text or "disk I/O error" in text:
            return disk_read_only()
        if "malformed" in text or "not a database" in text:
            return DataLoss(
                "DATABASE_DAMAGED",
                f"the server's database cannot be read ({text})",
                hint="restore the data directory from a backup",
            )
        return None

    def close(self) -> None:
        """See Dialect."""
        self.engine.dispose()


def damage(path: Path) -> list[str]:
    """What SQLite's own check finds wrong with a file, nothing where it is whole. Reads all of it."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def _configure(connection: Any, _: object) -> None:
    # sqlite3 must not open transactions on its own: it would open deferred ones.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails at once where another one has written between.
    immediate = connection.get_execution_options().get(_IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
