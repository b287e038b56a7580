from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penult_server.commands.doctor import doctor_command
from penult_server.store.database import FILE, Database
from penult_server.store.home import at_home
from tests.certificates import Authority
from tests.databases import Cluster


def said(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict[str, str]]:
    """The exit status, and the lines by their subject."""
    status = doctor_command([*flags, "--no-allow-download"])
    lines = capsys.readouterr().out.splitlines()
    return status, {line.split()[1]: line for line in lines if line[0] != " "}


@pytest.fixture
def healthy(tmp_path: Path) -> tuple[str, ...]:
    """Flags of a server that would work."""
    return ("--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")


def test_a_healthy_place_is_told_so_and_nothing_is_made(
    healthy: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = said(capsys, *healthy)
    assert status == 0
    assert {"machine", "device", "data", "weights", "ports", "access"} <= set(lines)
    assert "tf_efficientnet_lite0" in lines["weights"]
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_missing_weights_and_no_such_device_fail(
    healthy: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = (*healthy[:2], "--listen", address, "--device", "cuda:99", "--default-backbone", "resnet50")
        status, lines = said(capsys, *flags)
    assert status == 1
    assert lines["ports"].startswith("fail")
    assert lines["weights"].startswith("fail")
    assert lines["device"].startswith("fail")


def test_a_damaged_database_fails(
    healthy: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / FILE
    Database(path).close()
    assert said(capsys, *healthy)[1]["database"].startswith("ok")
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 8192):
        data[page : page + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    status, lines = said(capsys, *healthy)
    assert status == 1
    assert lines["database"].startswith("fail")


def test_a_database_elsewhere_is_asked(
    healthy: tuple[str, ...], postgresql: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql.new()
    with at_home(tmp_path / "data", url):
        status, lines = said(capsys, *healthy, "--database-url", url)
    assert status == 0
    assert lines["database"].startswith("warn")  # that of the tests keeps nothing through a power cut
    assert "fsync off" in lines["database"]
    nobody = "postgresql://me:hunter2@127.0.0.1:1/x"
    status, lines = said(capsys, *healthy, "--database-url", nobody)
    assert status == 1
    assert lines["database"].startswith("fail")
    assert not any("hunter2" in line for line in lines.values())
    assert said(capsys, *healthy)[1]["database"].startswith("fail")


def test_an_open_network_and_a_useless_certificate_fail(
    healthy: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cert, key = Authority("a").issue_files(tmp_path, "server")
    at = ("--data-dir", healthy[1], "--listen", "0.0.0.0:0")
    assert said(capsys, *at)[1]["access"].startswith("fail")
    assert said(capsys, *at, "--allow-insecure")[1]["access"].startswith("warn")
    tls = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(cert))
    status, lines = said(capsys, *at, *tls)
    assert status == 0
    assert lines["access"].startswith("ok")
    assert "good for" in lines["tls"]
    key.write_bytes(Authority("b").issue("server")[1])
    assert said(capsys, *at, *tls)[1]["tls"].startswith("fail")


def test_wrong_settings_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_command(["--listen", "nowhere"]) == 2
