"""kill -9 under upload: what was acknowledged is there afterwards, and nothing is there by half."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from penult.v1 import dataset_pb2 as pb
from penult.v1 import dataset_pb2_grpc, image_pb2
from tests.e2e.conftest import running_server
from tests.e2e.test_datasets import listed, upload
from tests.pictures import tiny_png

MESSAGE = 5
UNDER_WAY = 20
LABEL, SPLIT = "some label", pb.SPLIT_TRAIN


def example(number: int) -> pb.NewExample:
    return pb.NewExample(image=image_pb2.Image(encoded=tiny_png(number)), labels=[LABEL], split=SPLIT)


@pytest.mark.slow
def test_acknowledged_examples_survive_kill_at_any_moment(tmp_path: Path, count: Callable[..., None]) -> None:
    data_dir = tmp_path / "data"
    acknowledged: list[bytes] = []
    number = 0
    for kill_after in (1, 7, 40, 90):
        with running_server(data_dir, ready=False) as server, grpc.insecure_channel(server.target) as channel:
            stub = dataset_pb2_grpc.DatasetServiceStub(channel)
            if number == 0:
                stub.CreateDataset(pb.CreateDatasetRequest(name="a"), timeout=10)
            check(stub, data_dir, acknowledged)
            sent: list[list[int]] = []
            window, dead = threading.Semaphore(UNDER_WAY), threading.Event()

            def requests(
                sent: list[list[int]] = sent,
                window: threading.Semaphore = window,
                dead: threading.Event = dead,
                first: int = number,
            ) -> Iterator[pb.UploadExamplesRequest]:
                yield pb.UploadExamplesRequest(dataset="a", request_id=f"from {first}")
                while window.acquire() and not dead.is_set():
                    sent.append(list(range(first, first + MESSAGE)))
                    yield pb.UploadExamplesRequest(examples=[example(n) for n in sent[-1]])
                    first += MESSAGE

            responses = stub.UploadExamples(requests(), timeout=60)
            next(responses)
            with contextlib.suppress(grpc.RpcError):  # what a kill ends a call with
                for position, receipt in enumerate(responses):
                    assert receipt.added == MESSAGE
                    acknowledged += [tiny_png(n) for n in sent[position]]
                    window.release()
                    if position == kill_after:
                        server.process.send_signal(signal.SIGKILL)
            dead.set()
            window.release()
            assert server.process.wait(10) == -signal.SIGKILL
            number = sent[-1][-1] + 1
    with running_server(data_dir, ready=False) as server, grpc.insecure_channel(server.target) as channel:
        stub = dataset_pb2_grpc.DatasetServiceStub(channel)
        check(stub, data_dir, acknowledged)
        assert len(acknowledged) > 100
        count(kills=4, acknowledged=len(acknowledged), lost=0)
        # The dataset takes more, and says truly what it has.
        again = [example(n) for n in range(number)]
        receipts = upload(stub, "a", *(again[n : n + 100] for n in range(0, number, 100)))
        assert not [error for receipt in receipts for error in receipt.errors]
        assert len(listed(stub, "a")) == number


def check(stub: dataset_pb2_grpc.DatasetServiceStub, data_dir: Path, acknowledged: list[bytes]) -> None:
    """Every acknowledged example is listed, every listed one is whole, and no file is left over."""
    examples = {item.sha256: item for item in listed(stub, "a")}
    assert {hashlib.sha256(data).hexdigest() for data in acknowledged} <= set(examples)
    for item in examples.values():
        assert (list(item.labels), item.split) == ([LABEL], SPLIT)
        data = (data_dir / "blobs" / item.sha256[:2] / item.sha256[2:]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == item.sha256
    files = {p.parent.name + p.name for p in (data_dir / "blobs").rglob("*") if p.is_file()}
    assert files == set(examples)
    counts = stub.GetDataset(pb.GetDatasetRequest(name="a"), timeout=10).dataset
    assert counts.counts.train == counts.classes[0].counts.train == len(examples) if examples else True
