from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from penult_server.settings import Settings, markdown_table, problems


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tls-cert", "server.pem"], "belong together"),
        (["--tls-key", "server.key"], "belong together"),
        (["--tls-client-ca", "ca.pem"], "needs tls_cert"),
    ],
)
def test_settings_that_belong_together_come_together(flags: list[str], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.load(flags)
    assert said in str(caught.value)


def test_the_password_of_the_database_is_in_nothing_that_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = "postgresql://me:hunter2@host/penult"
    settings = Settings.load(["--database-url", url])
    assert settings.database == url
    assert "hunter2" not in f"{settings!r} {settings} {markdown_table()}"
    file = tmp_path / "penult.toml"
    file.write_text(f'databse_url = "{url}"\ntls_key = "{url}"')
    with pytest.raises(ValidationError) as caught:
        Settings.load(["--config", str(file), "--database-url", url, "--listen", url])
    told = problems(caught.value)
    assert len(told) >= 2
    assert not any("hunter2" in line for line in told)
    monkeypatch.setenv("PENULT_DATABASE_URL", "")
    assert Settings.load([]).database is None
