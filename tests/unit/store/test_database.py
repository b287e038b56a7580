from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from penult_server.core.errors import DataLoss, FailedPrecondition
from penult_server.store import acknowledged, dataset_tables
from penult_server.store.data_dir import exclusive
from penult_server.store.database import MIGRATIONS, Database
from penult_server.store.tables import metadata
from tests.databases import Place


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open()
    yield opened
    opened.close()


def test_migrations_lead_to_the_tables_that_the_code_uses(database: Database) -> None:
    with database.read() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
        made = set(sa.inspect(connection).get_table_names()) - {"alembic_version", "penult_server"}
    assert not difference
    assert made == set(metadata.tables)


def test_what_is_written_is_on_disk_and_survives(database: Database, place: Place) -> None:
    with database.write() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        acknowledged.remember(connection, "r", "a write", 7)

    def write_and_fail() -> None:
        with database.write() as connection:
            acknowledged.remember(connection, "half", "a write", 8)
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    database.close()
    again = place.open()
    with again.read() as connection:
        assert acknowledged.recall(connection, "r", "a write") == 7
        assert acknowledged.recall(connection, "half", "a write") is None
    again.close()


def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    def count_up() -> None:
        for _ in range(20):
            with database.write() as connection:
                now = acknowledged.recall(connection, "count", "w") or 0
                connection.execute(acknowledged.acknowledged.delete())
                acknowledged.remember(connection, "count", "w", now + 1)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert acknowledged.recall(connection, "count", "w") == 80


def test_a_read_sees_one_state_whatever_is_written(database: Database) -> None:
    with database.read() as reader:
        assert acknowledged.recall(reader, "r", "w") is None
        with database.write() as connection:
            acknowledged.remember(connection, "r", "w", 1)
        assert acknowledged.recall(reader, "r", "w") is None
    with database.read() as reader:
        assert acknowledged.recall(reader, "r", "w") == 1


def test_one_of_a_newer_version_is_refused(database: Database, place: Place) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(FailedPrecondition) as caught:
        place.open()
    assert caught.value.reason == "DATABASE_NEWER"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "penult.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DataLoss) as caught:
        Database(tmp_path / "penult.db")
    assert caught.value.reason == "DATABASE_DAMAGED"


def test_a_data_directory_has_one_owner(tmp_path: Path) -> None:
    with exclusive(tmp_path / "data"):
        with pytest.raises(FailedPrecondition) as caught, exclusive(tmp_path / "data"):
            pass
        assert caught.value.reason == "DATA_DIR_IN_USE"
    with exclusive(tmp_path / "data"):
        pass


def test_a_damaged_page_is_told_as_data_loss_while_serving(tmp_path: Path) -> None:
    path = tmp_path / "penult.db"
    opened = Database(path)
    with opened.write() as connection:
        for number in range(2000):
            acknowledged.remember(connection, f"r{number}", "a write", "x" * 200)
    opened.close()
    data = bytearray(path.read_bytes())
    for page in range(4096 * 40, len(data), 4096):
        data[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    damaged = Database(path, migrate=False)
    for transaction in (damaged.read, damaged.write):
        with pytest.raises(DataLoss) as caught, transaction() as connection:
            connection.exec_driver_sql("SELECT count(answer_json), max(answer_json) FROM acknowledged").all()
        assert caught.value.reason == "DATABASE_DAMAGED"
    damaged.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(FailedPrecondition) as caught, exclusive(tmp_path / "file" / "data"):
        pass
    assert caught.value.reason == "DATA_DIR_UNUSABLE"
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("revision", [file.name[1:5] for file in sorted(MIGRATIONS.glob("versions/m0*.py"))])
def test_what_an_earlier_version_wrote_becomes_what_this_one_reads(empty: Place, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = empty.engine()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.exec_driver_sql(
            "INSERT INTO datasets (name, multi_label, created_ms, revision) VALUES ('kept', false, 1, 7)"
        )
    engine.dispose()
    opened = empty.open()
    with opened.read() as connection:
        assert connection.execute(sa.select(dataset_tables.datasets.c.revision)).scalar_one() == 7
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    assert not difference
    opened.close()


def test_lists_are_in_the_order_of_bytes(database: Database) -> None:
    names = ["a", "B", "ä", "Z", "z", "a b", "a-b", "ab", "_"]
    with database.write() as connection:
        for name in names:
            acknowledged.remember(connection, name, "w", name)
    query = sa.select(acknowledged.acknowledged.c.request_id)
    with database.read() as connection:
        found = list(connection.execute(query.order_by(acknowledged.acknowledged.c.request_id)).scalars())
    assert found == sorted(names)
