"""The database of one data directory: SQLite, one writer at a time, durable when a write returns."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, create_engine, event
from sqlalchemy.exc import DatabaseError

from penult_server.core.errors import DataLoss, FailedPrecondition, ResourceExhausted

FILE = "penult.db"
MIGRATIONS = Path(__file__).with_name("migrations")
metadata = MetaData()

# A write waits for the one before it; only a process that is no server could hold the lock for long.
_BUSY_MILLISECONDS = 30_000
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)
_IMMEDIATE = "penult_immediate"


class Database:
    """Transactions for every store. Blocking; called off the event loop. Threads may share one."""

    def __init__(self, path: Path, *, migrate: bool = True) -> None:
        """Opens or creates the file and brings its schema up to date.

        Without `migrate`, which is for files that a running server uses, the schema must be up to date.

        Raises:
            DataLoss: the file is no database, or a damaged one.
            FailedPrecondition: a newer Penult has written it, or, without `migrate`, an older one.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self._writing = threading.Lock()
        try:
            if migrate:
                self._migrate()
            else:
                self._check_schema()
        except CommandError as error:
            self.close()
            raise FailedPrecondition(
                "DATABASE_NEWER", "a newer Penult has written this data directory", hint="run that version"
            ) from error
        except DatabaseError as error:
            self.close()
            raise _damaged(error) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One state of everything, whatever is written meanwhile. Keep it short: it holds back the log.

        Raises:
            DataLoss: the file is damaged.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            if _means_damage(error):
                raise _damaged(error) from error
            raise

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends, and never was when the block raises.

        Raises:
            ResourceExhausted: the disk is full.
            FailedPrecondition: the disk has become read-only.
            DataLoss: the file is damaged.
        """
        with self._writing, self._engine.connect() as connection:
            connection = connection.execution_options(**{_IMMEDIATE: True})
            try:
                with connection.begin():
                    yield connection
            except DatabaseError as error:
                if "disk is full" in str(error.orig):
                    raise disk_full() from error
                if "readonly database" in str(error.orig):
                    raise FailedPrecondition(
                        "DISK_READ_ONLY",
                        "the server's data directory cannot be written any more",
                        hint="look at the server's disk",
                    ) from error
                if _means_damage(error):
                    raise _damaged(error) from error
                raise

    @staticmethod
    def damage(path: Path) -> list[str]:
        """What SQLite's own check finds wrong with a file, nothing where it is whole. Reads all of it."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Closes every connection; none may be in use."""
        self._engine.dispose()

    def _check_schema(self) -> None:
        newest = ScriptDirectory.from_config(_alembic()).get_current_head()
        with self.read() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        if found != newest:
            self.close()
            raise FailedPrecondition(
                "DATABASE_OTHER_VERSION",
                "the server that runs on this data directory is of another version",
                hint="use the command of that version, or stop the server first",
            )

    def _migrate(self) -> None:
        config = _alembic()
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _means_damage(error: DatabaseError) -> bool:
    return any(words in str(error.orig) for words in ("malformed", "not a database"))


def _damaged(error: DatabaseError) -> DataLoss:
    return DataLoss(
        "DATABASE_DAMAGED",
        f"the server's database cannot be read ({error.orig})",
        hint="restore the data directory from a backup",
    )


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def disk_full() -> ResourceExhausted:
    """What every store answers when there is no room left."""
    return ResourceExhausted(
        "DISK_FULL", "the disk of the server's data directory is full", hint="free some space on the server"
    )


def _configure(connection: Any, _: object) -> None:
    # sqlite3 must not open transactions on its own: it would open deferred ones.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails at once where another one has written between.
    immediate = connection.get_execution_options().get(_IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
