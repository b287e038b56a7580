from __future__ import annotations

from pathlib import Path

import pytest

from penult_server.commands.backup import backup_command, restore_command
from penult_server.store.data_dir import exclusive
from penult_server.store.database import FILE, Database


def test_backup_beside_a_server_and_restore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    Database(data / FILE).close()
    with exclusive(data):
        assert backup_command([str(tmp_path / "b"), "--data-dir", str(data)]) == 0
        assert "1 files" in capsys.readouterr().out
        assert restore_command([str(tmp_path / "b"), "--data-dir", str(data)]) == 1
    assert restore_command([str(tmp_path / "b"), "--data-dir", str(tmp_path / "again")]) == 0
    Database(tmp_path / "again" / FILE, migrate=False).close()
    assert backup_command([str(tmp_path / "c"), "--data-dir", str(tmp_path / "nowhere")]) == 1
    assert "--data-dir" in capsys.readouterr().err
