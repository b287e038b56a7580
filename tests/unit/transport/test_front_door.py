from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from penult_server.core.access import AccessControl, ApiKey, Scope, make_key
from penult_server.core.errors import FailedPrecondition
from penult_server.transport.front_door import open_front_door
from penult_server.transport.tls import Certificates
from tests.certificates import Authority

NO_TLS: dict[str, Any] = {"cert": None, "key": None, "client_ca": None}


class Keys:
    def __init__(self, *keys: ApiKey) -> None:
        self._keys = keys

    def all(self) -> Sequence[ApiKey]:
        return self._keys

    def add(self, key: ApiKey) -> None:
        raise NotImplementedError

    def revoke(self, key_id: str, now: float) -> ApiKey:
        raise NotImplementedError


def access(*, closed: bool) -> AccessControl:
    return AccessControl(Keys(make_key("a", [Scope.READ], 0.0)[0]) if closed else Keys())


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Any]:
    cert, key = Authority("a").issue_files(tmp_path, "server")
    return {"cert": cert, "key": key, "client_ca": None}


async def test_this_machine_alone_needs_nothing() -> None:
    opened = await open_front_door("127.0.0.1:0", access(closed=False), **NO_TLS, allow_insecure=False)
    assert opened is None


@pytest.mark.parametrize(("encrypted", "closed"), [(False, False), (True, False), (False, True)])
async def test_a_network_needs_tls_and_keys_or_a_word_which_is_logged(
    tls: dict[str, Any], encrypted: bool, closed: bool
) -> None:
    door = tls if encrypted else NO_TLS
    with pytest.raises(FailedPrecondition) as caught:
        await open_front_door("0.0.0.0:0", access(closed=closed), **door, allow_insecure=False)
    assert caught.value.reason == "INSECURE"
    with structlog.testing.capture_logs() as logs:
        await open_front_door("0.0.0.0:0", access(closed=closed), **door, allow_insecure=True)
    assert [(line["event"], line["log_level"]) for line in logs] == [("insecure", "warning")]


async def test_tls_with_keys_or_with_client_certificates_is_enough(tls: dict[str, Any]) -> None:
    with structlog.testing.capture_logs() as logs:
        await open_front_door("0.0.0.0:0", access(closed=True), **tls, allow_insecure=False)
        mutual = {**tls, "client_ca": tls["cert"]}
        await open_front_door("0.0.0.0:0", access(closed=False), **mutual, allow_insecure=False)
    assert logs == []


def test_files_that_are_missing_broken_or_no_pair_are_told_without_their_path(tmp_path: Path) -> None:
    authority = Authority("a")
    cert, key = authority.issue_files(tmp_path, "server")
    _, other = authority.issue_files(tmp_path, "other")
    (tmp_path / "text").write_text("no certificate")
    for files in (
        (cert, tmp_path / "absent"),
        (cert, other),
        (tmp_path / "text", key),
        (cert, key, tmp_path / "text"),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            Certificates(*files)
        assert caught.value.reason == "TLS_INVALID"
        assert str(tmp_path) not in caught.value.message
