"""A gRPC server in this process whose features are known, for the wire behaviour of the client itself.

The feature of an image is (length of its bytes, its first byte), so that order and alignment show.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from penult.v1 import backbone_pb2, backbone_pb2_grpc, feature_pb2, feature_pb2_grpc, image_pb2, tensor_pb2

FINGERPRINT = "f" * 64


class Servicer(feature_pb2_grpc.FeatureServiceServicer, backbone_pb2_grpc.BackboneServiceServicer):
    """Answers like a server would, and does wrong what a test asks for."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.metadata: dict[str, str | bytes] = {}
        self.options: feature_pb2.FeatureOptions | None = None
        self.fail: list[tuple[grpc.StatusCode, list[Any]]] = []
        self.delay = 0.0
        self.received = 0
        self.hold = threading.Event()  # the stream answers only once it is set
        self.hold.set()
        self.header: backbone_pb2.ImportBackboneHeader | None = None
        self.upload = b""

    def Extract(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._begin("Extract", context)
        self.options = request.options
        tensor, errors = features(request.images, 0)
        return feature_pb2.ExtractResponse(
            features=tensor, errors=errors, fingerprint=FINGERPRINT, backbone="known"
        )

    def ExtractStream(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        self._begin("ExtractStream", context)
        lock, inbox = threading.Condition(), []

        def receive() -> None:
            try:
                for request in requests:
                    with lock:
                        inbox.append(request)
                        self.received += len(request.images)
                        lock.notify()
            except grpc.RpcError:  # the client has left
                pass
            with lock:
                inbox.append(None)
                lock.notify()

        threading.Thread(target=receive, daemon=True).start()
        first = 0
        while True:
            with lock:
                lock.wait_for(lambda: inbox)
                request = inbox.pop(0)
            if request is None:
                return
            if request.HasField("options"):
                assert first == 0
                self.options = request.options
            self.hold.wait(30)
            tensor, errors = features(request.images, first)
            yield feature_pb2.ExtractStreamResponse(
                first_index=first, features=tensor, errors=errors, fingerprint=FINGERPRINT, backbone="known"
            )
            first += len(request.images)

    def ListBackbones(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._begin("ListBackbones", context)
        page = int(request.page_token or 0)
        return backbone_pb2.ListBackbonesResponse(
            backbones=[backbone_pb2.Backbone(name=f"{request.query}{page}")],
            next_page_token=str(page + 1) if page < 2 else "",
        )

    def ImportBackbone(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        self._begin("ImportBackbone", context)
        for request in requests:
            if request.HasField("header"):
                self.header = request.header
            else:
                self.upload += request.chunk
        assert self.header is not None
        return backbone_pb2.ImportBackboneResponse(backbone=backbone_pb2.Backbone(name=self.header.name))

    def _begin(self, call: str, context: grpc.ServicerContext) -> None:
        self.calls.append(call)
        self.metadata = dict(context.invocation_metadata())
        time.sleep(self.delay)
        if self.fail:
            code, details = self.fail.pop(0)
            abort(context, code, details)


def abort(context: grpc.ServicerContext, code: grpc.StatusCode, details: list[Any]) -> None:
    """Ends the call with a status and its google.rpc details."""
    packed = []
    for detail in details:
        any_detail = any_pb2.Any()
        any_detail.Pack(detail)
        packed.append(any_detail)
    status = status_pb2.Status(code=code.value[0], message="scripted", details=packed)
    context.abort_with_status(rpc_status.to_status(status))


def features(images: Any, first: int) -> tuple[tensor_pb2.Tensor, list[image_pb2.ItemError]]:
    """Known features; empty images and those that start with "!" fail."""
    rows = np.full((len(images), 2), np.nan, "<f4")
    errors = []
    for row, image in enumerate(images):
        data = image.encoded or image.pixels.data
        if not data or data[:1] == b"!":
            errors.append(
                image_pb2.ItemError(index=first + row, reason="IMAGE_CORRUPT", message="no picture")
            )
        else:
            rows[row] = len(data), data[0]
    tensor = tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT32, shape=rows.shape, data=rows.tobytes())
    return tensor, errors


class KnownServer:
    """A running server and the servicer behind it."""

    def __init__(self) -> None:
        self.servicer = Servicer()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 64 << 20)]
        )
        feature_pb2_grpc.add_FeatureServiceServicer_to_server(self.servicer, self._server)
        backbone_pb2_grpc.add_BackboneServiceServicer_to_server(self.servicer, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self.servicer.hold.set()
        self._server.stop(0).wait()


@pytest.fixture
def known() -> Iterator[KnownServer]:
    server = KnownServer()
    yield server
    server.stop()


@pytest.fixture
def error_info() -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(
        reason="BACKBONE_NOT_FOUND",
        domain="penult",
        metadata={"hint": "did you mean resnet50?", "request_id": "r-1", "near": "resnet50"},
    )
