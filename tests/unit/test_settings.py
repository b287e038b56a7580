from __future__ import annotations

import pytest
from pydantic import ValidationError

from penult_server.settings import Settings


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
