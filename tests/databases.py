"""A real PostgreSQL for tests: Debian's package, started on a socket in a temporary directory."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from penult_server.store.database import MIGRATIONS, Database
from penult_server.store.postgresql import PostgreSql

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
_USER = "nobody"
# Nothing here has to outlive a power cut; a kill of the server that is tested loses nothing of this one.
_FAST = ("fsync=off", "full_page_writes=off", "max_connections=200", "listen_addresses=")
HEAD = max(file.name[1:5] for file in MIGRATIONS.glob("versions/m0*.py"))
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_RESTART = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"


@dataclasses.dataclass
class Cluster:
    """Databases of one running PostgreSQL, each made when it is asked for. It collates as no bytes do."""

    folder: Path
    binaries: Path
    _numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    _homes: dict[Path, str] = dataclasses.field(default_factory=dict)

    def url(self, database: str = "postgres") -> str:
        """As Penult takes it."""
        return f"postgresql://penult:secret-of-tests@/{database}?host={self.folder}"

    def new(self) -> str:
        """The URL of an empty schema of its own."""
        self.clean()
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE SCHEMA {name}", "clean")
        return f"{self.url('clean')}&options=-csearch_path%3D{name}"

    def of(self, data_dir: Path) -> str:
        """The URL of the database for a data directory, always the same one."""
        if data_dir not in self._homes:
            self._homes[data_dir] = self.new()
        return self._homes[data_dir]

    def clean(self) -> str:
        """The URL of the one database for tests that follow each other, brought up to date and emptied."""
        if not self.run("SELECT 1 FROM pg_database WHERE datname = 'clean'"):
            self.run("CREATE DATABASE clean TEMPLATE template0")
            Database(PostgreSql(self.url("clean"))).close()
        tables = [table for (table,) in self.run(_TABLES, "clean")]
        deletes = [f"DELETE FROM {table}" for table in tables if table != "alembic_version"]
        version = f"UPDATE alembic_version SET version_num = '{HEAD}'"
        self.run("; ".join(["SET session_replication_role = replica", *deletes, version, _RESTART]), "clean")
        return self.url("clean")

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """One statement of the administrator, and its rows."""
        import psycopg

        with psycopg.connect(self.url(database).replace("postgresql+psycopg", "postgresql")) as connection:
            connection.autocommit = True
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a database is, a file or a URL; it can be opened again and again."""

    at: Path | str

    def open(self, **options: Any) -> Database:
        """See Database."""
        return Database(self.at if isinstance(self.at, Path) else PostgreSql(self.at), **options)

    def engine(self) -> sa.Engine:
        """A plain way in, around Penult."""
        at = f"sqlite:///{self.at}" if isinstance(self.at, Path) else self.at.replace("://", "+psycopg://")
        return sa.create_engine(at)

    def only(self, kind: str) -> None:
        """Skips a test that is about one kind of database, "sqlite" or "postgresql"."""
        if kind != ("sqlite" if isinstance(self.at, Path) else "postgresql"):
            pytest.skip(f"about {kind}")


@functools.cache
def shared_cluster() -> Cluster:
    """The one of this process, started when first asked for. Skips where PostgreSQL is not installed."""
    if not BINARIES:
        pytest.skip("no PostgreSQL here: apt install postgresql")
    pytest.importorskip("psycopg")
    held = contextlib.ExitStack()
    atexit.register(held.close)
    return held.enter_context(running_cluster())


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Starts one as a user who may: PostgreSQL refuses to run as root."""
    # A path of a socket is short, and open to the other user.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    binaries = BINARIES[-1].parent
    process: subprocess.Popen[bytes] | None = None
    try:
        if os.getuid() == 0:
            shutil.chown(folder, _USER)
        data = folder / "data"
        _as_user(
            [binaries / "initdb", "-D", data, "-U", "penult", "-A", "trust", "-E", "UTF8", "-N",
             "--locale-provider=icu", "--icu-locale=de", "--locale=C.UTF-8"]
        ).wait(120)  # fmt: skip
        flags = [word for setting in _FAST for word in ("-c", setting)]
        process = _as_user([binaries / "postgres", "-D", data, "-k", folder, *flags])
        cluster = Cluster(folder, binaries)
        _wait(cluster, process)
        yield cluster
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # it is thrown away
            process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _as_user(command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    user: dict[str, Any] = {"user": _USER, "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user
    )


def _wait(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + 120
    while True:
        try:
            cluster.run("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
