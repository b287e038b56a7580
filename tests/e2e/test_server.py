"""The server as a process: start, health, reflection, settings, drain, and what goes wrong at start."""

from __future__ import annotations

import os
import signal
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
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from penult._status import from_rpc
from penult.v1 import feature_pb2 as pb
from penult.v1 import feature_pb2_grpc, image_pb2
from tests.e2e.conftest import RunningServer, ServerFactory

SERVICES = {
    "penult.v1.BackboneService",
    "penult.v1.DatasetService",
    "penult.v1.FeatureService",
    "penult.v1.JobService",
}


def health(channel: grpc.Channel, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status


def serve(*flags: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a serve command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "penult_server", "serve", *flags],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_health_is_serving_for_the_server_and_each_service(channel: grpc.Channel) -> None:
    for service in ("", *SERVICES):
        assert health(channel, service) == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_and_describes_every_service(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) >= SERVICES | {"grpc.health.v1.Health"}
    file = database.FindFileContainingSymbol("penult.v1.FeatureService")
    assert [method.name for method in file.service[0].method] == ["Extract", "ExtractStream"]


def test_a_method_that_is_not_there_is_told_as_any_other_error(
    server: RunningServer, channel: grpc.Channel
) -> None:
    call: Any = channel.unary_unary("/penult.v1.FeatureService/Guess")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=30, metadata=(("x-request-id", "guess"),))
    error = from_rpc(caught.value, server.target)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert (error.reason, error.request_id) == ("RPC_UNKNOWN", "guess")
    assert "newer" in error.hint


def test_the_log_is_one_json_object_a_line_with_the_request_id(
    server: RunningServer, channel: grpc.Channel, sample_jpegs: list[bytes]
) -> None:
    request = pb.ExtractRequest(images=[image_pb2.Image(encoded=sample_jpegs[0])])
    stub = feature_pb2_grpc.FeatureServiceStub(channel)
    stub.Extract(request, timeout=60, metadata=(("x-request-id", "find-me"),))
    deadline = time.monotonic() + 5
    while not (lines := [e for e in server.events if e.get("request_id") == "find-me"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert lines[0]["method"] == "/penult.v1.FeatureService/Extract"
    assert lines[0]["code"] == "OK"
    assert lines[0]["milliseconds"] > 0
    assert not [e for e in server.events if e["event"] == "not_json"]


def test_a_default_backbone_that_cannot_load_is_not_serving_and_says_why(start_server: ServerFactory) -> None:
    flags = ("--default-backbone", "resnet18.a1_in1k", "--no-allow-download")
    with (
        start_server(*flags, ready=False) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        why = server.event("not_ready")["why"]
        assert "resnet18" in why
        assert health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.terminate() == 0


def test_sigterm_lets_calls_in_flight_finish_and_refuses_new_ones(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    with start_server() as server, grpc.insecure_channel(server.target) as channel:
        stub = feature_pb2_grpc.FeatureServiceStub(channel)
        release = threading.Event()

        def requests() -> Iterator[pb.ExtractStreamRequest]:
            yield pb.ExtractStreamRequest(images=[image_pb2.Image(encoded=d) for d in sample_jpegs])
            release.wait(30)
            yield pb.ExtractStreamRequest(images=[image_pb2.Image(encoded=d) for d in sample_jpegs])

        responses = stub.ExtractStream(requests(), timeout=60)
        next(responses)
        server.process.send_signal(signal.SIGTERM)
        server.event("draining")
        with grpc.insecure_channel(server.target) as late, pytest.raises(grpc.RpcError) as caught:
            feature_pb2_grpc.FeatureServiceStub(late).Extract(pb.ExtractRequest(), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        release.set()
        assert next(responses).features.shape[0] == len(sample_jpegs)
        assert list(responses) == []
        assert server.process.wait(60) == 0
        assert server.event("stopped", 5)


def test_a_call_that_outlasts_the_drain_is_cut_off(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    with start_server("--drain-seconds", "0.2") as server, grpc.insecure_channel(server.target) as channel:
        hold = threading.Event()

        def requests() -> Iterator[pb.ExtractStreamRequest]:
            yield pb.ExtractStreamRequest(images=[image_pb2.Image(encoded=sample_jpegs[0])])
            hold.wait(30)

        responses = feature_pb2_grpc.FeatureServiceStub(channel).ExtractStream(requests(), timeout=60)
        next(responses)
        assert server.terminate() == 0
        with pytest.raises(grpc.RpcError):
            next(responses)
        hold.set()


def test_a_port_that_is_taken_ends_the_second_server_with_a_reason(
    server: RunningServer, tmp_path: Path
) -> None:
    result = serve("--listen", server.target, "--log-format", "json", cwd=tmp_path)
    assert result.returncode == 1
    assert "cannot_listen" in result.stderr


def test_settings_come_from_flags_then_environment_then_file(
    start_server: ServerFactory, tmp_path: Path
) -> None:
    config = tmp_path / "penult.toml"
    config.write_text('max_images = 3\nlog_level = "info"\nmax_queued_images = 1\n')
    with (
        start_server("--config", str(config), PENULT_MAX_IMAGES="2") as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        request = pb.ExtractRequest(images=[image_pb2.Image(encoded=b"x")] * 3)
        with pytest.raises(grpc.RpcError) as caught:
            feature_pb2_grpc.FeatureServiceStub(channel).Extract(request, timeout=10)
        assert "at most 2" in str(caught.value.details())


@pytest.mark.parametrize(
    ("flags", "env", "said"),
    [
        (("--listen", "nowhere"), {}, "listen"),
        (("--max-batch", "-1"), {}, "max_batch"),
        ((), {"PENULT_PROVIDER": "tpu"}, "provider"),
        (("--config", "missing.toml"), {}, "missing.toml"),
        (("--no-such-flag",), {}, "--no-such-flag"),
        (("--device", "tpu0"), {}, "tpu0"),
        (("--device", "cuda:99"), {}, "cuda:99"),
        (("--device", "cpu", "--jpeg-decoder", "nvjpeg"), {}, "CUDA"),
    ],
)
def test_wrong_settings_end_with_status_2_and_name_the_setting(
    tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    result = serve(*flags, cwd=tmp_path, **env)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "typo.toml").write_text("max_imagse = 3\n")
    result = serve("--config", "typo.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert "max_imagse" in result.stderr
