"""TLS and mutual TLS from end to end, and certificates that change while the server runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import penult
from tests.certificates import Authority
from tests.e2e.conftest import ServerFactory
from tests.e2e.test_access import keys

WRONG_AUTHORITY = 10.0


def test_tls_with_a_key_and_a_certificate_that_is_replaced(
    start_server: ServerFactory, tmp_path: Path
) -> None:
    old, new = Authority("old"), Authority("new")
    cert, key = old.issue_files(tmp_path, "server")
    text = keys(tmp_path / "data", "create", "a", "--scopes", "admin")
    flags = ("--listen", "0.0.0.0:0", "--tls-cert", str(cert), "--tls-key", str(key))
    with start_server(*flags, ready=False) as server:
        assert not [event for event in server.events if event["event"] == "insecure"]
        target = server.target.replace("0.0.0.0", "127.0.0.1")
        with penult.Client(target, api_key=text, tls=penult.Tls(ca=old.pem())) as client:
            assert client.datasets.list() == []
            for certificate, trusted in ((b"half a pair", False), (new.issue("server"), True)):
                if isinstance(certificate, tuple):
                    cert.write_bytes(certificate[0])
                    key.write_bytes(certificate[1])
                else:
                    cert.write_bytes(certificate)
                deadline = time.monotonic() + 60
                while trusted:
                    with penult.Client(
                        target, api_key=text, tls=penult.Tls(ca=new.pem()), timeout=5
                    ) as other:
                        try:
                            assert other.datasets.list() == []
                            break
                        except penult.Unavailable:
                            assert time.monotonic() < deadline
                if not trusted:  # the server goes on with what it had
                    with penult.Client(target, api_key=text, tls=penult.Tls(ca=old.pem())) as other:
                        assert other.datasets.list() == []
            assert client.datasets.list() == [], "a connection that stands is left alone"
        assert server.event("certificates_unusable")
        assert server.event("certificates_changed")
        with penult.Client(target, timeout=WRONG_AUTHORITY) as plain, pytest.raises(penult.PenultError):
            plain.datasets.list()
        assert server.terminate() == 0


async def test_mutual_tls_lets_only_certified_clients_in(start_server: ServerFactory, tmp_path: Path) -> None:
    ours, others = Authority("ours"), Authority("others")
    cert, key = ours.issue_files(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(ours.pem())
    flags = ("--listen", "0.0.0.0:0", "--tls-cert", str(cert), "--tls-key", str(key),
             "--tls-client-ca", str(tmp_path / "ca.pem"))  # fmt: skip
    with start_server(*flags, ready=False) as server:
        target = server.target.replace("0.0.0.0", "127.0.0.1")
        good_cert, good_key = ours.issue_files(tmp_path, "client")
        tls = penult.Tls(ca=tmp_path / "ca.pem", cert=good_cert, key=good_key)
        with penult.Client(target, tls=tls) as client:
            assert client.datasets.list() == []
        async with penult.AsyncClient(target, tls=tls) as client:
            assert await client.datasets.list() == []
        bad_cert, bad_key = others.issue("client")
        for tls in (penult.Tls(ca=ours.pem()), penult.Tls(ca=ours.pem(), cert=bad_cert, key=bad_key)):
            with (
                penult.Client(target, tls=tls, timeout=WRONG_AUTHORITY) as client,
                pytest.raises(penult.Unavailable),
            ):
                client.datasets.list()
        assert server.terminate() == 0
