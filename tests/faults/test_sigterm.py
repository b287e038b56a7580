"""SIGTERM under load, and a second server on the same data directory."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from pathlib import Path

import grpc

from penult.v1 import dataset_pb2, dataset_pb2_grpc, feature_pb2_grpc, image_pb2
from penult.v1 import feature_pb2 as pb
from tests.e2e.conftest import running_server
from tests.e2e.test_datasets import listed
from tests.e2e.test_server import serve
from tests.pictures import tiny_png

CALLERS = 12


def test_no_accepted_call_is_lost_by_sigterm_and_a_second_server_is_refused(
    tmp_path: Path, sample_jpegs: list[bytes], count: Callable[..., None]
) -> None:
    data_dir = tmp_path / "data"
    codes: collections.Counter[str] = collections.Counter()
    acknowledged: list[int] = []
    with running_server(data_dir) as server, grpc.insecure_channel(server.target) as channel:
        features = feature_pb2_grpc.FeatureServiceStub(channel)
        datasets = dataset_pb2_grpc.DatasetServiceStub(channel)
        datasets.CreateDataset(dataset_pb2.CreateDatasetRequest(name="a"), timeout=60)
        request = pb.ExtractRequest(images=[image_pb2.Image(encoded=data) for data in sample_jpegs[:2]])

        def extract() -> None:
            while True:
                try:
                    assert features.Extract(request, timeout=240).features.shape[0] == 2
                    codes["OK"] += 1
                except grpc.RpcError as error:
                    codes[error.code().name] += 1
                    return

        def upload() -> None:
            number = 0
            while True:
                first = dataset_pb2.UploadExamplesRequest(dataset="a")
                image = image_pb2.Image(encoded=tiny_png(number))
                example = dataset_pb2.UploadExamplesRequest(examples=[dataset_pb2.NewExample(image=image)])
                try:
                    receipts = list(datasets.UploadExamples(iter([first, example]), timeout=240))
                except grpc.RpcError as error:
                    codes[error.code().name] += 1
                    return
                assert receipts[-1].added == 1
                acknowledged.append(number)
                number += 1

        threads = [threading.Thread(target=extract) for _ in range(CALLERS)] + [
            threading.Thread(target=upload)
        ]
        for thread in threads:
            thread.start()
        second = serve(
            "--data-dir", str(data_dir), "--listen", "127.0.0.1:0", "--log-format", "json", cwd=tmp_path
        )
        assert second.returncode == 1
        assert "DATA_DIR_IN_USE" in second.stderr
        assert server.terminate() == 0
        for thread in threads:
            thread.join(60)
        # Each caller was refused once, and none was cut off in the middle.
        assert set(codes) == {"OK", "UNAVAILABLE"}, codes
        assert codes["UNAVAILABLE"] == CALLERS + 1
        assert codes["OK"] > 0
        served = [
            event for event in server.events if event.get("event") == "call" and "Extract" in event["method"]
        ]
        assert sum(event["code"] == "OK" for event in served) == codes["OK"]
        count(callers=CALLERS + 1, answered=codes["OK"] + len(acknowledged), lost=0)
    with running_server(data_dir, ready=False) as again, grpc.insecure_channel(again.target) as channel:
        assert len(listed(dataset_pb2_grpc.DatasetServiceStub(channel), "a")) == len(acknowledged)
