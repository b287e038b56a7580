from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

import penult
from penult._channel import Endpoint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"target": ""}, "TARGET_INVALID"),
        ({"timeout": 0}, "TIMEOUT_INVALID"),
        ({"api_key": "two\nlines"}, "API_KEY_INVALID"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: Any, reason: str) -> None:
    with pytest.raises(penult.InvalidArgument) as caught:
        penult.Client(**arguments)
    assert caught.value.reason == reason


def test_certificates_are_paths_or_bytes(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    for ca in (tmp_path / "ca.pem", str(tmp_path / "ca.pem"), b"-----BEGIN CERTIFICATE-----\n", None):
        assert isinstance(penult.Tls(ca=ca).credentials(), grpc.ChannelCredentials)


@pytest.mark.parametrize(
    "tls", [penult.Tls(ca="missing.pem"), penult.Tls(cert=b"alone"), penult.Tls(key=b"x")]
)
def test_half_a_certificate_is_refused(tls: penult.Tls) -> None:
    with pytest.raises(penult.InvalidArgument) as caught:
        Endpoint("localhost:1", tls=tls).open()
    assert caught.value.reason == "TLS_INVALID"


def test_private_key_never_gets_into_a_pickle() -> None:
    assert "secret" not in repr(penult.Tls(cert=b"c", key=b"secret"))
    with pytest.raises(penult.InvalidArgument):
        Endpoint("localhost:1", tls=penult.Tls(cert=b"c", key=b"secret")).without_secret()


def test_tls_client_does_not_talk_to_a_plain_server(known: Any) -> None:
    with penult.Client(known.target, tls=True, timeout=5) as client, pytest.raises(penult.Unavailable):
        client.extract(b"x")
