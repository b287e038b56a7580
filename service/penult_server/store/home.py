"""Where all of one server lasts: a data directory, and the database that belongs to it.

Files that no row names are removed at the start of a server. With the rows of another database that would be
all files, so directory and database know each other, and neither is used with another one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from penult_server.core.errors import DataLoss, FailedPrecondition
from penult_server.store.data_dir import exclusive
from penult_server.store.database import FILE, Database
from penult_server.store.files import rename_durably, write_durably
from penult_server.store.postgresql import PostgreSql

MARK = "database.json"
"""In a data directory whose database is elsewhere: which one it is."""


@contextlib.contextmanager
def at_home(data_dir: Path, url: str | None) -> Iterator[Database]:
    """The database of this directory, brought up to date and held with it for this process alone.

    Raises:
        FailedPrecondition: another server holds one of them, they do not belong together, or one cannot be
            written.
        Unavailable: the database cannot be reached.
        DataLoss: it is damaged.
    """
    with exclusive(data_dir):
        check_kind(data_dir, url)
        if url is None:
            with contextlib.closing(Database(data_dir / FILE)) as database:
                yield database
            return
        dialect = PostgreSql(url)
        with contextlib.closing(dialect), dialect.sole() as held:
            _pair(data_dir, held)
            dialect.take_over(held)
            yield Database(dialect)


@contextlib.contextmanager
def visited(data_dir: Path, url: str | None) -> Iterator[Database]:
    """The same for a command that touches no files, whether or not a server uses the database.

    It is brought up to date only where none does. Raises as `at_home` does, and FailedPrecondition where a
    server of another version uses it.
    """
    check_kind(data_dir, url)
    with contextlib.ExitStack() as held:
        dialect = None if url is None else held.enter_context(contextlib.closing(PostgreSql(url)))
        try:
            held.enter_context(exclusive(data_dir) if dialect is None else dialect.sole())
            alone = True
        except FailedPrecondition:
            alone = False
        yield held.enter_context(contextlib.closing(Database(dialect or data_dir / FILE, migrate=alone)))


def check_kind(data_dir: Path, url: str | None) -> None:
    """Raises FailedPrecondition where the directory's database is of the other kind."""
    if url is None and (data_dir / MARK).exists():
        raise FailedPrecondition(
            "DATABASE_URL_MISSING",
            "the database of this data directory is a PostgreSQL one",
            hint="give its database_url",
        )
    if url is not None and (data_dir / FILE).exists():
        raise FailedPrecondition(
            "DATA_DIR_HAS_DATABASE",
            "this data directory has a database of its own, of SQLite",
            hint="give no database_url; `penult-server backup` and `restore` move it to another database",
        )


def check_pair(data_dir: Path, connection: sa.Connection) -> None:
    """Raises FailedPrecondition where the database at the other end is not that of the directory."""
    mine, theirs = _mark(data_dir), _theirs(connection)
    if mine is None or theirs not in (mine.id, _promised(mine.id)):
        raise FailedPrecondition(
            "DATABASE_OF_ANOTHER",
            "this database and this data directory do not belong together",
            hint="give the ones that do; a new server takes an empty directory and an empty database",
        )


def promise(connection: sa.Connection) -> str:
    """Promises a new database to a directory that is not there yet; what to write into its MARK.

    Raises FailedPrecondition where the database is in use. One that was promised before, to a directory that
    never came, is still a new one.
    """
    theirs = _theirs(connection)
    if theirs is not None and not theirs.startswith(_promised("")):
        raise FailedPrecondition(
            "TARGET_EXISTS",
            "the database belongs to a server's data directory already",
            hint="name a database that is empty",
        )
    mark = _Mark(uuid.uuid4().hex, paired=False)
    _give(connection, _promised(mark.id))
    return json.dumps(dataclasses.asdict(mark))


@dataclasses.dataclass(frozen=True, slots=True)
class _Mark:
    id: str
    paired: bool
    """False until the database is known to have the id as well."""


def _pair(data_dir: Path, connection: sa.Connection) -> None:
    """Makes new ones belong together. A crash in between is made up for by the next start."""
    mine, theirs = _mark(data_dir), _theirs(connection)
    if mine is None and theirs is None:
        mine = _Mark(uuid.uuid4().hex, paired=False)
        _write_mark(data_dir, mine)
    if mine is not None and not mine.paired and theirs in (None, _promised(mine.id)):
        _give(connection, mine.id)
    check_pair(data_dir, connection)
    if mine is not None and not mine.paired:
        _write_mark(data_dir, _Mark(mine.id, paired=True))


def _promised(directory_id: str) -> str:
    return f"promised to {directory_id}"


def _theirs(connection: sa.Connection) -> str | None:
    if connection.exec_driver_sql("SELECT to_regclass('penult_server')").scalar() is None:
        return None
    found = connection.exec_driver_sql("SELECT data_dir FROM penult_server").scalar()
    return None if found is None else str(found)


def _give(connection: sa.Connection, directory_id: str) -> None:
    connection.execute(sa.text("UPDATE penult_server SET data_dir = :id"), {"id": directory_id})


def _mark(data_dir: Path) -> _Mark | None:
    try:
        return _Mark(**json.loads((data_dir / MARK).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DataLoss(
            "DATA_DIR_DAMAGED", f"{MARK} in the data directory is damaged", hint="restore it from a backup"
        ) from error


def _write_mark(data_dir: Path, mark: _Mark) -> None:
    write_durably(data_dir / f"{MARK}.new", json.dumps(dataclasses.asdict(mark)).encode())
    rename_durably(data_dir / f"{MARK}.new", data_dir / MARK)
