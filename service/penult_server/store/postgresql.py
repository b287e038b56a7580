"""PostgreSQL at a URL, used as SQLite is: one writer at a time, durable commits, text in the order of bytes.

That there is one writer is what the stores rely on when they read and then write. Locks are advisory ones of
the database, told apart by the schema: two servers may have a schema each (`options=-csearch_path%3Dname`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import ArgumentError, DatabaseError

from penult_server.core.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    PenultError,
    ResourceExhausted,
    Unavailable,
)
from penult_server.store.tables import metadata

_WRITER, _SERVER = 0x50454E55, 0x50454E56
_RETRY_SECONDS = 1.0
# A host that has vanished is noticed within half a minute.
_CONNECT: dict[str, Any] = {
    "connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
    "client_encoding": "utf8", "application_name": "penult",
}  # fmt: skip
_CONFIGURE = (
    "SET lock_timeout = '30s'",
    # Acknowledged is durable, whatever the database's own default is; stricter ones are left alone.
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'",
)
_NOT_BYTEWISE = sa.text(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
    "AND data_type = 'character varying' AND collation_name IS DISTINCT FROM 'C' AND table_name IN :tables"
).bindparams(sa.bindparam("tables", expanding=True))


class PostgreSql:
    """Implements store.dialect.Dialect."""

    def __init__(self, url: str) -> None:
        """Connects once. No error holds the URL's password.

        Raises:
            FailedPrecondition: the URL is none of PostgreSQL, its library is not installed, or the database
                does not take all of Unicode.
            Unavailable: it does not answer, or does not let the server in.
        """
        address = _address(url)
        if importlib.util.find_spec("psycopg") is None:
            raise FailedPrecondition(
                "DATABASE_LIBRARY_MISSING",
                "the library of PostgreSQL is not installed",
                hint="pip install 'penult[postgres]'",
            )
        given = {name: value for name, value in _CONNECT.items() if name not in address.query}
        self.engine = sa.create_engine(address, pool_pre_ping=True, connect_args=given, hide_parameters=True)
        self.reading: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        # A snapshot for each statement: one of the whole transaction would be older than the lock.
        self.writing: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
        self._running = ""
        sa.event.listen(self.engine, "connect", _configure)
        try:
            with self.engine.connect() as connection:
                encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        except DatabaseError as error:
            self.close()
            # Before the server is up only the operator reads it.
            raise Unavailable(
                "DATABASE_UNREACHABLE",
                f"the database cannot be used: {' '.join(str(error.orig).split())}",
                hint="look at database_url, and at the database",
            ) from None
        if encoding != "UTF8":
            self.close()
            raise FailedPrecondition(
                "DATABASE_ENCODING",
                f"the encoding of the database is {encoding}",
                hint="create one with ENCODING 'UTF8' and TEMPLATE template0",
            )

    @contextlib.contextmanager
    def sole(self) -> Iterator[Connection]:
        """No server uses the database meanwhile, or no other one; the connection that stands for it.

        Raises:
            FailedPrecondition: there is one.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as held:
            lock = f"SELECT pg_try_advisory_lock({_SERVER}, hashtext(current_schema()))"
            if not held.exec_driver_sql(lock).scalar_one():
                raise FailedPrecondition(
                    "DATABASE_IN_USE",
                    "another server uses this database",
                    hint="stop it, or give this one another database_url",
                )
            held.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS penult_server (data_dir VARCHAR, running VARCHAR); "
                "INSERT INTO penult_server SELECT NULL WHERE NOT EXISTS (SELECT 1 FROM penult_server)"
            )
            try:
                yield held
            finally:
                held.invalidate()  # and with it the lock, which a connection in the pool would keep

    def take_over(self, held: Connection) -> None:
        """From now on no other one writes: a server whose lock was lost with its connection notices that."""
        running = uuid.uuid4().hex
        held.execute(sa.text("UPDATE penult_server SET running = :running"), {"running": running})
        self._running = running

    def facts(self) -> dict[str, str]:
        """Settings of the database that the operator should know."""
        with self.engine.connect() as connection:
            return {
                name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())
                for name in ("server_version", "fsync")
            }

    def lock(self, connection: Connection) -> None:
        """See Dialect."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER}, hashtext(current_schema()))")
        if self._running:
            found = connection.exec_driver_sql("SELECT running FROM penult_server").scalar()
            if found != self._running:
                raise FailedPrecondition(
                    "DATABASE_TAKEN_OVER",
                    "another server has taken over the database of this one",
                    hint="stop one of them",
                )

    def migrated(self, connection: Connection) -> None:
        """See Dialect: lists are in the order of bytes. Only columns that were just made are not yet."""
        quote = connection.dialect.identifier_preparer.quote
        columns = connection.execute(_NOT_BYTEWISE, {"tables": list(metadata.tables)}).all()
        for table, column in columns:
            connection.exec_driver_sql(
                f'ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} TYPE VARCHAR COLLATE "C"'
            )

    def refusal(self, error: DatabaseError) -> PenultError | None:
        """See Dialect. What the database says may name its host, so callers do not see it."""
        state = getattr(error.orig, "sqlstate", None) or ""
        if state == "53100":
            return ResourceExhausted(
                "DISK_FULL", "the disk of the server's database is full", hint="free some space there"
            )
        if state == "25006":
            return FailedPrecondition(
                "DISK_READ_ONLY", "the server's database takes no writes", hint="look at the database"
            )
        if state.startswith("XX"):
            return DataLoss(
                "DATABASE_DAMAGED",
                "the server's database has found damage in itself",
                hint="look at its log, and restore a backup",
            )
        if state == "55P03":
            return Unavailable(
                "DATABASE_BUSY",
                "another transaction holds up the server's database",
                retry_after=_RETRY_SECONDS,
                hint="retry after the stated delay",
            )
        # A connection that is lost has no state of its own.
        if error.connection_invalidated or state[:2] in ("08", "53", "57") or _never_connected(error, state):
            return Unavailable(
                "DATABASE_UNREACHABLE",
                "the server's database cannot be reached",
                retry_after=_RETRY_SECONDS,
                hint="retry after the stated delay; a repeat with the same request_id writes nothing twice",
            )
        if "NUL" in str(error.orig):
            return InvalidArgument("TEXT_WITH_NUL", "nothing here has a NUL character in its text")
        return None

    def close(self) -> None:
        """See Dialect."""
        self.engine.dispose()


def _address(url: str) -> sa.URL:
    try:
        address = sa.make_url(url)
    except (ArgumentError, ValueError):
        address = None
    if address is None or address.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise FailedPrecondition(
            "DATABASE_URL_INVALID",
            "database_url is no URL of a PostgreSQL database",
            hint="such as postgresql://user:password@host:5432/database",
        )
    return address.set(drivername="postgresql+psycopg")


def _never_connected(error: DatabaseError, state: str) -> bool:
    return not state and isinstance(error, sa.exc.OperationalError)


def _configure(connection: Any, _: object) -> None:
    with connection.cursor() as cursor:
        for statement in _CONFIGURE:
            cursor.execute(statement)
    connection.commit()
