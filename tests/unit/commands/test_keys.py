from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penult_server.commands.keys import keys_command
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.data_dir import exclusive
from penult_server.store.database import FILE, Database
from penult_server.store.home import at_home
from tests.databases import Cluster


def listed(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert keys_command(["list", "--json", "--data-dir", str(data_dir)]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_keys_are_made_shown_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--data-dir", str(tmp_path / "data"))
    assert keys_command(["create", "shop", "--scopes", "read,write", "--expires", "90d", *at]) == 0
    first = capsys.readouterr()
    text = first.out.strip()
    assert text.startswith("penult_")
    assert "first" in first.err
    assert keys_command(["create", "shop", "--scopes", "read", *at]) == 1
    (row,) = listed(tmp_path / "data", capsys)
    assert (row["name"], row["scopes"], row["state"]) == ("shop", "read,write", "valid")
    assert text not in json.dumps(row)
    assert keys_command(["revoke", row["id"], *at]) == 0
    assert listed(tmp_path / "data", capsys)[0]["state"] == "revoked"
    assert keys_command(["revoke", "nobody", *at]) == 1
    assert "nobody" in capsys.readouterr().err
    assert keys_command(["list", *at]) == 0
    assert row["id"] in capsys.readouterr().out


def test_the_data_directory_comes_from_the_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENULT_DATA_DIR", str(tmp_path / "data"))
    assert keys_command(["create", "a", "--scopes", "admin"]) == 0
    assert len(listed(tmp_path / "data", capsys)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "a", "--scopes", "everything"],
        ["create", "a", "--scopes", "read", "--expires", "soon"],
        ["create", "a"],
        [],
    ],
)
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        keys_command(arguments)
    assert caught.value.code == 2


def test_beside_a_server_of_another_version_nothing_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(tmp_path / FILE)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with exclusive(tmp_path):
        assert keys_command(["list", "--data-dir", str(tmp_path)]) == 1
    assert "another version" in capsys.readouterr().err
    database.close()


def test_keys_of_a_server_on_postgresql(
    postgresql: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql.new()
    at = ("--data-dir", str(tmp_path / "data"), "--database-url", url)
    assert keys_command(["create", "before", "--scopes", "read", *at]) == 0
    with at_home(tmp_path / "data", url) as database:
        assert keys_command(["create", "while", "--scopes", "read", *at]) == 0
        assert [key.name for key in DatabaseKeys(database).all()] == ["before", "while"]
    capsys.readouterr()
    assert keys_command(["list", *at, "--config", str(tmp_path / "none")]) == 2
    assert keys_command(["list", *at[:2], "--database-url", "postgresql://a:hunter2@127.0.0.1:1/x"]) == 1
    assert "hunter2" not in capsys.readouterr().err
