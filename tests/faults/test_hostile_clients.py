"""Clients that send damage, vanish, or kill the server half-way: nobody notices, nothing is half made."""

from __future__ import annotations

import io
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from penult.v1 import backbone_pb2, backbone_pb2_grpc, feature_pb2_grpc, image_pb2
from penult.v1 import feature_pb2 as pb
from tests.e2e.conftest import ServerFactory, running_server
from tests.e2e.test_backbones import checkpoint, import_messages
from tests.e2e.test_features import array

METHODS = {
    "/penult.v1.FeatureService/Extract": (False, pb.ExtractRequest),
    "/penult.v1.FeatureService/ExtractStream": (True, pb.ExtractStreamRequest),
    "/penult.v1.BackboneService/ListBackbones": (False, backbone_pb2.ListBackbonesRequest),
    "/penult.v1.BackboneService/GetBackbone": (False, backbone_pb2.GetBackboneRequest),
    "/penult.v1.BackboneService/LoadBackbone": (False, backbone_pb2.LoadBackboneRequest),
    "/penult.v1.BackboneService/UnloadBackbone": (False, backbone_pb2.UnloadBackboneRequest),
    "/penult.v1.BackboneService/ImportBackbone": (True, backbone_pb2.ImportBackboneRequest),
}

ROUNDS = 720 if os.environ.get("PENULT_TEST_LONG") else 20
"""Batches of 14 damaged pictures; more than 10,000 pictures in the long form."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, repeats or replaces bytes."""
    damage = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        where = rng.randrange(len(damage))
        kind = rng.randrange(4)
        if kind == 0:
            damage[where] = rng.randrange(256)
        elif kind == 1:
            del damage[where : where + rng.randint(1, 400)]
        elif kind == 2:
            damage[where:where] = damage[where : where + rng.randint(1, 200)]
        else:
            damage[where : where + 4] = rng.randbytes(4)
        if not damage:
            return b"\0"
    return bytes(damage)


def in_all_formats(jpegs: list[bytes]) -> list[bytes]:
    """The pictures as they are, and one small one in each other format."""
    small = Image.open(io.BytesIO(jpegs[0])).resize((160, 120))
    others = []
    for name in ("PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000"):
        file = io.BytesIO()
        small.save(file, name)
        others.append(file.getvalue())
    return [*jpegs, *others]


def test_damaged_pictures_fail_alone_among_good_ones(
    channel: grpc.Channel, sample_jpegs: list[bytes], count: Callable[..., None]
) -> None:
    stub, rng = feature_pb2_grpc.FeatureServiceStub(channel), random.Random(7)
    good, sources = sample_jpegs[3], in_all_formats(sample_jpegs)
    expected: np.ndarray | None = None
    refused = 0
    for _ in range(ROUNDS):
        pictures = [good, *(damaged(rng.choice(sources), rng) for _ in range(14)), good]
        images = [image_pb2.Image(encoded=picture) for picture in pictures]
        response = stub.Extract(pb.ExtractRequest(images=images), timeout=60)
        rows, failed = array(response.features), {error.index for error in response.errors}
        assert failed.isdisjoint({0, 15})
        refused += len(failed)
        assert {i for i in range(16) if not np.isfinite(rows[i]).all()} == failed
        expected = rows[0] if expected is None else expected
        for row in (rows[0], rows[15]):
            assert np.abs(row - expected).max() <= 1e-4 * np.abs(expected).max()
    assert 0 < refused <= 14 * ROUNDS
    count(malformed_images=14 * ROUNDS, refused_alone=refused, good_ones_beside=2 * ROUNDS, lost=0)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_random_bytes_are_answered_with_a_status_that_is_not_unknown(
    channel: grpc.Channel, method: str
) -> None:
    streaming, message = METHODS[method]
    rng = random.Random(method)
    seed = message().SerializeToString()
    for round_ in range(40):
        junk = rng.randbytes(rng.randint(0, 60)) if round_ % 2 else damaged(seed or b"\x0a\x03abc", rng)
        call: Any = channel.stream_unary(method) if streaming else channel.unary_unary(method)
        if method.endswith("ExtractStream"):
            stream: Any = channel.stream_stream(method)
            call = lambda requests, timeout, stream=stream: list(stream(requests, timeout=timeout))  # noqa: E731
        try:
            call(iter([junk]) if streaming else junk, timeout=30)
        except grpc.RpcError as error:
            assert error.code() not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED)  # noqa: PT017


def test_streams_that_break_off_leave_room_for_others(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    images = [image_pb2.Image(encoded=data) for data in sample_jpegs]
    with start_server("--max-queued-images", "64") as server:
        for attempt in range(12):
            with grpc.insecure_channel(server.target) as channel:  # closing it cuts the calls off
                stub = feature_pb2_grpc.FeatureServiceStub(channel)
                stop = threading.Event()

                def endless(stop: threading.Event = stop) -> Iterator[pb.ExtractStreamRequest]:
                    while not stop.is_set():
                        yield pb.ExtractStreamRequest(images=images)

                responses = stub.ExtractStream(endless(), timeout=60)
                for _ in range(attempt % 3):
                    next(responses)
                stop.set()
        with grpc.insecure_channel(server.target) as channel:
            stub = feature_pb2_grpc.FeatureServiceStub(channel)
            # All the room is there again: a full batch is neither refused nor late.
            full = pb.ExtractRequest(images=images * 8)
            grpc.channel_ready_future(channel).result(30)
            assert array(stub.Extract(full, timeout=60, wait_for_ready=True).features).shape[0] == 64


def test_an_import_that_the_server_did_not_survive_leaves_nothing(tmp_path: Path) -> None:
    _, data, _ = checkpoint("mobilenetv3_small_050")
    half_sent = threading.Event()

    def messages() -> Iterator[backbone_pb2.ImportBackboneRequest]:
        for number, message in enumerate(import_messages(data, "mine", "mobilenetv3_small_050")):
            yield message
            if number == 2:
                half_sent.set()
                threading.Event().wait(5)

    with running_server(tmp_path / "data") as server, grpc.insecure_channel(server.target) as channel:
        call = backbone_pb2_grpc.BackboneServiceStub(channel).ImportBackbone.future(messages(), timeout=30)
        half_sent.wait(30)
        server.process.send_signal(signal.SIGKILL)
        assert call.exception() is not None
    with running_server(tmp_path / "data") as server, grpc.insecure_channel(server.target) as channel:
        stub = backbone_pb2_grpc.BackboneServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetBackbone(backbone_pb2.GetBackboneRequest(name="mine"), timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert not any((tmp_path / "data" / "backbones" / ".incoming").iterdir())
        stub.ImportBackbone(import_messages(data, "mine", "mobilenetv3_small_050"), timeout=60)
