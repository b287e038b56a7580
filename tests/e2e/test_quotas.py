"""Quotas of a server and of one key, and a client that has vanished without a word."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

import penult
from penult.v1 import feature_pb2, feature_pb2_grpc
from tests.e2e.conftest import RunningServer, running_server
from tests.e2e.test_models import LABELS
from tests.pictures import coloured_png, tiny_png

SECONDS = 240
LOST_SECONDS = 45
"""Many times what the server waits, and less than the minute that gRPC gives a ping by itself."""
FLAGS = (
    *("--max-datasets", "2", "--max-indexes", "1", "--max-index-items", "5", "--max-models", "1"),
    *("--max-queued-jobs-per-key", "1", "--max-stored-mb-per-key", "1"),
    *("--max-calls", "2", "--keepalive-seconds", "1"),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A data directory with two keys that may do everything."""
    data_dir = tmp_path_factory.mktemp("quotas") / "data"
    command = [sys.executable, "-m", "penult_server", "keys", "create"]
    made = [
        subprocess.run(
            [*command, name, "--scopes", "admin", "--data-dir", str(data_dir)],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for name in ("one", "two")
    ]  # fmt: skip
    return data_dir, made


@pytest.fixture(scope="module")
def server(keys: tuple[Path, list[str]]) -> Iterator[RunningServer]:
    with running_server(keys[0], *FLAGS) as running:
        yield running


@contextlib.contextmanager
def refused(reason: str, *, worth_waiting: bool = False) -> Iterator[None]:
    with pytest.raises(penult.ResourceExhausted) as caught:
        yield
    assert caught.value.reason == reason
    assert (caught.value.retry_after is not None) == worth_waiting


def test_what_is_past_a_quota_is_refused_at_once(server: RunningServer, keys: tuple[Path, list[str]]) -> None:
    one, two = (penult.Client(server.target, api_key=key) for key in keys[1])
    with one, two:
        one.datasets.create("colours")
        for label in LABELS:
            one.datasets.add("colours", [coloured_png(label, n) for n in range(8)], label, split="train")
        two.datasets.create("other")
        with refused("TOO_MANY_DATASETS"):
            two.datasets.create("third")
        index = one.indexes.create("a", dim=4)
        with refused("TOO_MANY_INDEXES"):
            two.indexes.create("b", dim=4)
        rows = np.eye(4, dtype=np.float32)
        index.add_vectors(rows, ids=list("abcd"))
        with refused("INDEX_QUOTA"):
            index.add_vectors(rows[:2], ids=["e", "f"])
        index.add_vectors(rows[:1], ids=["e"])
        started = []
        with refused("TOO_MANY_JOBS", worth_waiting=True):
            while True:  # one may have left the queue by now, but not for long
                started.append(one.datasets.analyze("colours"))
        started.append(two.datasets.analyze("colours"))
        for job in started:
            job.cancel()
        noise = np.random.default_rng(3)
        with refused("STORAGE_QUOTA"):
            for _ in range(40):
                two.datasets.add("other", [noise.integers(0, 256, (120, 120, 3), np.uint8)], "x")
        assert 10 < two.datasets.get("other").counts.total < 30
        one.datasets.add("colours", [tiny_png(1)], "red")
        model = one.models.train_head("m", dataset="colours", head="nearest_centroid")
        assert model.result(timeout=SECONDS).version == 1
        with refused("TOO_MANY_MODELS"):
            two.models.train_head("n", dataset="colours", head="nearest_centroid")


class Wire:
    """A line to the server that can go dead: open at both ends, and nothing comes through any more."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = (host, int(port))
        self._dead = threading.Event()
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._dead.set()

    def close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._dead.is_set():
                    return
                sink.sendall(data)


def test_a_client_that_vanished_without_a_word_frees_what_it_held(
    server: RunningServer, keys: tuple[Path, list[str]]
) -> None:
    wire = Wire(server.target)
    metadata = (("authorization", f"Bearer {keys[1][0]}"),)
    forever = threading.Event()

    def silent() -> Iterator[feature_pb2.ExtractStreamRequest]:
        yield feature_pb2.ExtractStreamRequest()
        forever.wait()

    with (
        grpc.insecure_channel(wire.target) as lost,
        penult.Client(server.target, api_key=keys[1][1]) as other,
    ):
        stub = feature_pb2_grpc.FeatureServiceStub(lost)
        calls = [stub.ExtractStream(silent(), metadata=metadata) for _ in range(2)]
        for call in calls:
            next(call)  # it is inside
        with refused("OVERLOADED", worth_waiting=True):
            other.datasets.list(timeout=5)
        wire.cut()
        deadline = time.monotonic() + LOST_SECONDS
        while True:
            try:
                other.datasets.list(timeout=5)
                break
            except penult.ResourceExhausted:
                assert time.monotonic() < deadline, "the lost calls are never let go"
                time.sleep(0.2)
        forever.set()
        for call in calls:
            call.cancel()
    wire.close()
