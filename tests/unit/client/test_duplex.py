"""The time limit on each answer of a stream, its end, and servers that die before the first one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

import penult
from penult._channel import Endpoint
from penult._duplex import next_response
from penult._exchange import exchange, exchange_async

SECONDS = 0.05
_WRITE = HealthCheckRequest.SerializeToString


class _Call:
    """A call whose answer arrives at the very moment when it is given up."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def __next__(self) -> str:
        assert self.cancelled.wait(60)
        return "answer"

    def cancel(self) -> None:
        self.cancelled.set()


def test_an_answer_that_crosses_the_time_limit_is_late_not_the_start_of_a_cancelled_stream() -> None:
    with pytest.raises(penult.DeadlineExceeded, match="no answer on the stream"):
        next_response(_Call(), SECONDS)


def test_an_answer_in_time_leaves_the_call_alone() -> None:
    call = _Call()
    call.cancelled.set()  # so that it answers at once
    assert next_response(call, 60) == "answer"


# Takes every message and never answers.
_SILENT = """
import sys, threading
from concurrent import futures
import grpc
from penult.v1 import feature_pb2_grpc

class Silent(feature_pb2_grpc.FeatureServiceServicer):
    def ExtractStream(self, requests, context):
        for request in requests:
            pass
        threading.Event().wait()
        yield

server = grpc.server(futures.ThreadPoolExecutor(4))
feature_pb2_grpc.add_FeatureServiceServicer_to_server(Silent(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
"""


@pytest.fixture
def silent() -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(penult.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", _SILENT], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        yield process, f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_server_that_dies_before_its_first_answer_ends_the_call(
    silent: tuple[subprocess.Popen[str], str],
) -> None:
    process, target = silent
    threading.Timer(1, process.kill).start()
    with penult.Client(target, timeout=60) as client, pytest.raises(penult.Unavailable, match="no server"):
        client.extract([b"x"] * 20)


async def test_a_server_that_dies_before_its_first_answer_ends_the_call_of_asyncio(
    silent: tuple[subprocess.Popen[str], str],
) -> None:
    process, target = silent
    asyncio.get_running_loop().call_later(1, process.kill)
    async with penult.AsyncClient(target, timeout=60) as client:
        with pytest.raises(penult.Unavailable, match="no server"):
            await client.extract([b"x"] * 20)


class _Echo(grpc.GenericRpcHandler):
    """Answers each message, and takes a while between its last answer and its status."""

    def __init__(self) -> None:
        self.cancelled: list[bool] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.stream_stream_rpc_method_handler(
            self._echo, HealthCheckRequest.FromString, HealthCheckRequest.SerializeToString
        )

    def _echo(
        self, requests: Iterator[HealthCheckRequest], context: grpc.ServicerContext
    ) -> Iterator[HealthCheckRequest]:
        yield from requests
        time.sleep(0.2)
        self.cancelled.append(not context.is_active())


@pytest.fixture
def echo() -> Iterator[tuple[_Echo, Endpoint]]:
    handler = _Echo()
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield handler, Endpoint(f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()


def test_a_stream_that_was_read_to_its_last_answer_is_not_cancelled(echo: tuple[_Echo, Endpoint]) -> None:
    handler, endpoint = echo
    messages = [HealthCheckRequest(service=str(number)) for number in range(20)]
    with endpoint.open() as channel:
        method = channel.stream_stream("/any/Echo", _WRITE, HealthCheckRequest.FromString)
        assert list(exchange(method, iter(messages), endpoint, None)) == messages
    assert handler.cancelled == [False]


async def test_a_stream_of_asyncio_that_was_read_to_its_last_answer_is_not_cancelled(
    echo: tuple[_Echo, Endpoint],
) -> None:
    handler, endpoint = echo
    messages = [HealthCheckRequest(service=str(number)) for number in range(20)]

    async def sent() -> AsyncIterator[HealthCheckRequest]:
        for message in messages:
            yield message

    async with endpoint.open_async() as channel:
        method = channel.stream_stream("/any/Echo", _WRITE, HealthCheckRequest.FromString)
        assert [answer async for answer in exchange_async(method, sent(), endpoint, None)] == messages
    assert handler.cancelled == [False]
