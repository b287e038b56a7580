"""The database that a server keeps its rows in: one writer at a time, durable when a write returns."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DatabaseError

from penult_server.core.errors import FailedPrecondition
from penult_server.store.dialect import Dialect
from penult_server.store.sqlite import Sqlite

__all__ = ["FILE", "MIGRATIONS", "Database", "metadata"]

FILE = "penult.db"
MIGRATIONS = Path(__file__).with_name("migrations")
metadata = MetaData()


class Database:
    """Transactions for every store. Blocking; called off the event loop. Threads may share one."""

    def __init__(self, address: Path | Dialect, *, migrate: bool = True) -> None:
        """Opens it, and brings its schema up to date; a path is a file of SQLite, made if need be.

        Without `migrate`, which is for databases that a running server uses, the schema must be up to date.

        Raises:
            DataLoss: the file is no database, or a damaged one.
            FailedPrecondition: a newer Penult has written it, or, without `migrate`, an older one.
            Unavailable: the database cannot be reached.
        """
        self._dialect = Sqlite(address) if isinstance(address, Path) else address
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
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One state of everything, whatever is written meanwhile. Keep it short: it holds back the log.

        Raises:
            DataLoss: the database is damaged.
            Unavailable: it cannot be reached.
        """
        with (
            self._told(),
            self._dialect.engine.connect() as connection,
            connection.execution_options(**self._dialect.reading).begin(),
        ):
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends, and never was when the block raises.

        Only where the database is lost sight of while it commits, nobody knows: that is Unavailable too.

        Raises:
            ResourceExhausted: the disk is full.
            FailedPrecondition: the disk has become read-only.
            DataLoss: the database is damaged.
            Unavailable: it cannot be reached.
        """
        with (
            self._writing,
            self._told(),
            self._dialect.engine.connect() as connection,
            connection.execution_options(**self._dialect.writing).begin(),
        ):
            self._dialect.lock(connection)
            yield connection

    def close(self) -> None:
        """Closes every connection; none may be in use."""
        self._dialect.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database as what they mean."""
        try:
            yield
        except DatabaseError as error:
            if refusal := self._dialect.refusal(error):
                raise refusal from error
            raise

    def _check_schema(self) -> None:
        newest = ScriptDirectory.from_config(_alembic()).get_current_head()
        with self.read() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        if found != newest:
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
            self._dialect.migrated(connection)


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
