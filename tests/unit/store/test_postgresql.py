"""What only PostgreSQL asks for: who may use it with which data directory, and what becomes of faults."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from penult_server.core.access import Scope, make_key
from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument, PenultError, Unavailable
from penult_server.store import acknowledged
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.database import FILE, Database
from penult_server.store.home import MARK, at_home, visited
from penult_server.store.postgresql import PostgreSql
from tests.databases import Cluster


@pytest.fixture
def url(postgresql: Cluster) -> str:
    return postgresql.new()


def remember(database: Database, request_id: str) -> None:
    with database.write() as connection:
        acknowledged.remember(connection, request_id, "w", 1)


def refusal(data_dir: Path, url: str | None) -> str:
    with pytest.raises(PenultError) as caught, at_home(data_dir, url):
        pass
    assert "secret-of-tests" not in f"{caught.value.message} {caught.value.hint} {caught.value.__cause__!r}"
    return caught.value.reason


def test_directory_and_database_stay_together(postgresql: Cluster, url: str, tmp_path: Path) -> None:
    for number in range(2):
        with at_home(tmp_path / "a", url) as database:
            remember(database, f"r{number}")
    assert refusal(tmp_path / "b", url) == "DATABASE_OF_ANOTHER"
    assert refusal(tmp_path / "a", postgresql.new()) == "DATABASE_OF_ANOTHER"
    assert refusal(tmp_path / "a", None) == "DATABASE_URL_MISSING"
    with at_home(tmp_path / "c", None):
        pass
    assert refusal(tmp_path / "c", url) == "DATA_DIR_HAS_DATABASE"
    (tmp_path / "a" / MARK).write_text("?")
    with pytest.raises(DataLoss), at_home(tmp_path / "a", url):
        pass
    assert not (tmp_path / "a" / FILE).exists()


def test_a_crash_while_they_are_brought_together_is_made_up_for(url: str, tmp_path: Path) -> None:
    with at_home(tmp_path, url):
        pass
    engine = sa.create_engine(url.replace("://", "+psycopg://"))
    mark = (tmp_path / MARK).read_text().replace("true", "false")
    for known in ("NULL", "data_dir"):  # before and after the database knew it
        (tmp_path / MARK).write_text(mark)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE penult_server SET data_dir = {known}")
        with at_home(tmp_path, url):
            assert "true" in (tmp_path / MARK).read_text()
    engine.dispose()


def test_a_second_server_is_refused_and_a_replaced_one_writes_no_more(
    postgresql: Cluster, url: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    with at_home(tmp_path / "a", url) as first:
        copy.mkdir()
        (copy / MARK).write_bytes((tmp_path / "a" / MARK).read_bytes())
        assert refusal(copy, url) == "DATABASE_IN_USE"
        with visited(tmp_path / "a", url) as beside:  # a command
            DatabaseKeys(beside).add(make_key("one", [Scope.READ], 1.0)[0])
        remember(first, "before")
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penult'"
        postgresql.run(kill)
        remember(first, "after")  # connections are made anew
        with visited(tmp_path / "a", url) as beside:
            assert len(DatabaseKeys(beside).all()) == 1
        remember(first, "still")
        with at_home(copy, url) as second:
            with pytest.raises(FailedPrecondition) as caught:
                remember(first, "late")
            assert caught.value.reason == "DATABASE_TAKEN_OVER"
            remember(second, "late")


def test_a_connection_that_is_lost_under_way_is_told_and_loses_what_was_not_committed(
    postgresql: Cluster, url: str
) -> None:
    database = Database(PostgreSql(url))

    def lose() -> None:
        with database.write() as connection:
            acknowledged.remember(connection, "r", "w", 1)
            me = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            postgresql.run(f"SELECT pg_terminate_backend({me})")
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(Unavailable) as caught:
        lose()
    assert (caught.value.reason, caught.value.retry_after) == ("DATABASE_UNREACHABLE", 1.0)
    remember(database, "r")
    database.close()


def test_nobody_behind_the_url_is_told_without_its_password(tmp_path: Path) -> None:
    for given, reason in {
        "postgresql://me:secret-of-tests@127.0.0.1:1/x": "DATABASE_UNREACHABLE",
        f"postgresql://me:secret-of-tests@/x?host={tmp_path}": "DATABASE_UNREACHABLE",
        "mysql://me:secret-of-tests@localhost/x": "DATABASE_URL_INVALID",
        "secret-of-tests": "DATABASE_URL_INVALID",
        "postgresql://me:secret-of-tests@localhost:port/x": "DATABASE_URL_INVALID",
    }.items():
        assert refusal(tmp_path / "data", given) == reason


def test_a_database_that_cannot_hold_all_text_is_refused(postgresql: Cluster) -> None:
    postgresql.run("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
                   "LOCALE_PROVIDER libc")  # fmt: skip
    with pytest.raises(FailedPrecondition) as caught:
        PostgreSql(postgresql.url("latin"))
    assert caught.value.reason == "DATABASE_ENCODING"


def test_text_with_a_nul_is_refused_not_a_fault(url: str) -> None:
    database = Database(PostgreSql(url))
    query = sa.select(acknowledged.acknowledged).where(acknowledged.acknowledged.c.write == "a\0b")
    with pytest.raises(InvalidArgument), database.read() as connection:
        connection.execute(query)
    with pytest.raises(InvalidArgument), database.read() as connection:
        acknowledged.recall(connection, "a\0b", "w")
    database.close()


def test_writers_of_several_processes_wait_for_each_other(url: str) -> None:
    databases = [Database(PostgreSql(url)) for _ in range(3)]

    def count_up(database: Database) -> None:
        for _ in range(10):
            with database.write() as connection:
                now = acknowledged.recall(connection, "count", "w") or 0
                connection.execute(acknowledged.acknowledged.delete())
                acknowledged.remember(connection, "count", "w", now + 1)

    threads = [threading.Thread(target=count_up, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with databases[0].read() as connection:
        assert acknowledged.recall(connection, "count", "w") == 30
    for database in databases:
        database.close()
