"""Who may call what: every rpc without a key, with a wrong one, and with a key of each scope."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import penult
from penult_server.core.access import Scope
from penult_server.transport.scopes import SCOPES
from tests.e2e.conftest import RunningServer, running_server
from tests.e2e.test_server import serve

METHODS = {f"/{service}/{name}": scope for service, names in SCOPES.items() for name, scope in names.items()}
DENIED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
FAULTS = (
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


def keys(data_dir: Path, *words: str) -> str:
    """What `penult-server keys` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "penult_server", "keys", *words, "--data-dir", str(data_dir)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout.strip()


def call(channel: grpc.Channel, method: str, key: str | None) -> grpc.StatusCode:
    """The status of one empty message; every kind of method answers to a stream of one."""
    metadata = () if key is None else (("authorization", f"Bearer {key}"),)
    stream: Any = channel.stream_stream(method)
    responses = stream(iter([b""]), timeout=300, metadata=metadata)
    try:
        for _ in responses:
            pass
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.fixture(scope="module")
def closed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningServer, Path, dict[Scope, str]]]:
    """A server, its data directory, and a key of each scope."""
    data_dir = tmp_path_factory.mktemp("closed") / "data"
    texts = {scope: keys(data_dir, "create", scope.value, "--scopes", scope.value) for scope in Scope}
    with running_server(data_dir, "--no-allow-download") as server:
        yield server, data_dir, texts
        said = "\n".join(map(str, server.events))
        assert not any(text.split("_", 2)[2] in said for text in texts.values()), "a key is in the log"


def test_every_rpc_is_closed_without_a_key_and_with_a_wrong_one(
    closed: tuple[RunningServer, Path, dict[Scope, str]],
) -> None:
    server, _, texts = closed
    wrong = texts[Scope.ADMIN][:-2] + "zz"
    with grpc.insecure_channel(server.target) as channel:
        for method in METHODS:
            for key in (None, wrong, "", "x"):
                assert call(channel, method, key) is grpc.StatusCode.UNAUTHENTICATED, (method, key)


@pytest.mark.parametrize("scope", Scope)
def test_every_rpc_opens_to_its_scope_and_to_admin_alone(
    closed: tuple[RunningServer, Path, dict[Scope, str]], scope: Scope
) -> None:
    server, _, texts = closed
    with grpc.insecure_channel(server.target) as channel:
        for method, needed in METHODS.items():
            code = call(channel, method, texts[scope])
            if scope in (needed, Scope.ADMIN):
                assert code not in (*DENIED, *FAULTS), (method, code)
            else:
                assert code is grpc.StatusCode.PERMISSION_DENIED, (method, code)


def test_health_is_open(closed: tuple[RunningServer, Path, dict[Scope, str]]) -> None:
    server, _, _ = closed
    with grpc.insecure_channel(server.target) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_sdk_says_what_is_wrong_and_works_with_a_key(
    closed: tuple[RunningServer, Path, dict[Scope, str]], sample_jpegs: list[bytes]
) -> None:
    server, _, texts = closed
    with penult.Client(server.target) as client, pytest.raises(penult.Unauthenticated) as caught:
        client.extract(sample_jpegs[:1])
    assert caught.value.reason == "API_KEY_MISSING"
    assert caught.value.request_id
    with penult.Client(server.target, api_key=texts[Scope.READ]) as client:
        assert client.extract(sample_jpegs[:2]).shape == (2, 1280)
        with pytest.raises(penult.PermissionDenied) as denied:
            client.datasets.create("a")
    assert denied.value.metadata == {"scope": "write"}


def test_a_key_made_and_revoked_under_way_counts_at_once_and_ends_a_stream(
    closed: tuple[RunningServer, Path, dict[Scope, str]], sample_jpegs: list[bytes]
) -> None:
    server, data_dir, _ = closed
    text = keys(data_dir, "create", "visitor", "--scopes", "read")
    revoked = threading.Event()

    def images() -> Iterator[bytes]:
        yield from sample_jpegs
        revoked.wait(120)
        for _ in range(1000):
            time.sleep(0.05)
            yield from sample_jpegs

    with penult.Client(server.target, api_key=text) as client:
        deadline = time.monotonic() + 60
        while True:
            try:
                client.backbones.get()
                break
            except penult.Unauthenticated:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        caught: list[BaseException] = []

        def work() -> None:
            try:
                client.extract(images())
            except penult.PenultError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        keys(data_dir, "revoke", text.split("_")[1])
        revoked.set()
        thread.join(120)
        assert [type(error) for error in caught] == [penult.Unauthenticated]
        with pytest.raises(penult.Unauthenticated) as again:
            client.backbones.get()
        assert again.value.reason == "API_KEY_REVOKED"


def test_an_open_network_needs_a_word(tmp_path: Path) -> None:
    result = serve("--listen", "0.0.0.0:0", "--log-format", "json", cwd=tmp_path)
    assert result.returncode == 1
    assert "INSECURE" in result.stderr
    assert "--allow-insecure" in result.stderr
