"""Crowds: many clients at once, some of which never read or vanish, and the memory that they cost."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from penult.v1 import feature_pb2 as pb
from penult.v1 import feature_pb2_grpc, image_pb2
from tests.e2e.conftest import RunningServer, ServerFactory

CROWD = 1000 if os.environ.get("PENULT_TEST_LONG") else 120
"""Clients; a thousand in the long form."""
INFLIGHT_MB, QUEUED_IMAGES = 64, 64
BOUND_MB = 4 * INFLIGHT_MB + 2 * CROWD
"""Growth: messages as bytes, parsed, and in gRPC's buffers; and 2 MiB for each client's connection."""


def memory_mb(server: RunningServer) -> float:
    """What the server holds now."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


async def never_reads(target: str, images: list[image_pb2.Image]) -> None:
    """Sends for as long as the server takes it, and does not look at one answer."""
    # Else gRPC itself would read some megabytes ahead.
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        call = feature_pb2_grpc.FeatureServiceStub(channel).ExtractStream()
        while True:
            await call.write(pb.ExtractStreamRequest(images=images))


async def vanishes(target: str, images: list[image_pb2.Image]) -> None:
    """Begins, and is gone."""
    while True:
        async with grpc.aio.insecure_channel(target) as channel:
            call = feature_pb2_grpc.FeatureServiceStub(channel).ExtractStream()
            await call.write(pb.ExtractStreamRequest(images=images))
            await asyncio.sleep(0.05)


async def asks(target: str, images: list[image_pb2.Image], codes: dict[grpc.StatusCode, int]) -> None:
    """Calls as any client does, and comes back when it is told to."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = feature_pb2_grpc.FeatureServiceStub(channel)
        while True:
            try:
                answer = await stub.Extract(pb.ExtractRequest(images=images), timeout=120)
                assert len(answer.errors) == 0
                code = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                code = error.code()
            codes[code] = codes.get(code, 0) + 1
            await asyncio.sleep(0.5)


@pytest.mark.slow
async def test_memory_stays_bounded_under_a_crowd_and_all_is_free_afterwards(
    start_server: ServerFactory, sample_jpegs: list[bytes], count: Callable[..., None]
) -> None:
    images = [image_pb2.Image(encoded=data) for data in sample_jpegs]
    flags = ("--max-inflight-mb", str(INFLIGHT_MB), "--max-queued-images", str(QUEUED_IMAGES),
             "--stall-seconds", "5")  # fmt: skip
    codes: dict[grpc.StatusCode, int] = {}
    with start_server(*flags) as server:
        before, most = memory_mb(server), 0.0
        clients = [
            asyncio.create_task(
                (never_reads, vanishes)[number % 2](server.target, images)
                if number % 3 else asks(server.target, images[:2], codes)
            )
            for number in range(CROWD)
        ]  # fmt: skip
        until = time.monotonic() + (60 if CROWD > 500 else 15)
        while time.monotonic() < until or not codes.get(grpc.StatusCode.OK):
            await asyncio.sleep(0.5)
            most = max(most, memory_mb(server))
            assert time.monotonic() < until + 240
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        count(clients=CROWD, MiB_before=round(before), MiB_at_most=round(most))
        count(**{code.name: number for code, number in codes.items()})
        assert set(codes) <= {
            grpc.StatusCode.OK,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }
        assert most - before < BOUND_MB
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = feature_pb2_grpc.FeatureServiceStub(channel)
            answer = await stub.Extract(
                pb.ExtractRequest(images=images * 8), timeout=240, wait_for_ready=True
            )
            assert answer.features.shape[0] == 8 * len(images)  # all the room is there again
        assert server.terminate() == 0


async def test_one_who_reads_nothing_is_cut_off_and_leaves_its_room_to_others(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    images = [image_pb2.Image(encoded=sample_jpegs[3])] * 64
    with start_server("--stall-seconds", "1", "--max-calls", "1") as server:
        silent = asyncio.create_task(never_reads(server.target, images))
        await asyncio.to_thread(server.event, "client_stalled")
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = feature_pb2_grpc.FeatureServiceStub(channel)
            answer = await stub.Extract(pb.ExtractRequest(images=images[:1]), timeout=60)
            assert answer.features.shape[0] == 1
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)
        assert server.terminate() == 0
