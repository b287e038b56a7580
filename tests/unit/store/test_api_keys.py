from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penult_server.core.access import Scope, make_key
from penult_server.core.errors import AlreadyExists, NotFound
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.database import Database
from tests.databases import Place


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open()
    yield opened
    opened.close()


def test_what_was_kept_comes_back(database: Database) -> None:
    keys = DatabaseKeys(database)
    made = [make_key("one", [Scope.READ], 1.0)[0], make_key("two", Scope, 2.0, lifetime=5.0)[0]]
    for key in made:
        keys.add(key)
    assert keys.all() == made


def test_the_file_holds_no_key(database: Database, place: Place, tmp_path: Path) -> None:
    place.only("sqlite")
    key, text = make_key("one", [Scope.READ], 1.0)
    DatabaseKeys(database).add(key)
    database.close()
    secret = text.split("_", 2)[2].encode()
    assert not any(secret in file.read_bytes() for file in tmp_path.iterdir())


def test_a_revoked_key_stays_revoked_and_frees_its_name(database: Database) -> None:
    keys = DatabaseKeys(database)
    first, _ = make_key("one", [Scope.READ], 1.0)
    keys.add(first)
    with pytest.raises(AlreadyExists):
        keys.add(make_key("one", [Scope.READ], 2.0)[0])
    assert keys.revoke(first.id, 3.0).revoked == keys.revoke(first.id, 4.0).revoked == 3.0
    second, _ = make_key("one", [Scope.READ], 5.0)
    keys.add(second)
    assert [key.state(6.0) for key in keys.all()] == ["revoked", "valid"]
    with pytest.raises(NotFound):
        keys.revoke("nobody", 7.0)
