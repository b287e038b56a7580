"""Real servers in processes of their own, on free ports of the loopback interface."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

START_SECONDS = 400


@dataclasses.dataclass
class RunningServer:
    """`penult-server serve` as an operator runs it."""

    process: subprocess.Popen[str]
    target: str = ""
    events: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def event(self, name: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """The first log line of this event, waiting for it. Fails when the process ends without it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for event in list(self.events):
                if event.get("event") == name:
                    return event
            if self.process.poll() is not None and not self.reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no {name!r} in the log: {self.events[-5:]}")

    def read(self) -> None:
        """Collects the log; runs in a thread of its own."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.events.append({"event": "not_json", "line": line})

    def start_reading(self) -> None:
        """Starts the thread of `read`."""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def terminate(self) -> int:
        """SIGTERM, then the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def running_server(
    data_dir: Path, *flags: str, ready: bool = True, module: str = "penult_server", **env: str
) -> Iterator[RunningServer]:
    """A server with these flags; killed at the end of the block if it still runs."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PENULT_")}
    if os.environ.get("PENULT_TEST_POSTGRESQL"):  # all end-to-end tests on the other database
        from tests.databases import shared_cluster

        env.setdefault("PENULT_DATABASE_URL", shared_cluster().of(data_dir))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", module, "serve", "--listen", "127.0.0.1:0"),
            *("--data-dir", str(data_dir), "--log-format", "json"),
            *flags,
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, **env},
        cwd=data_dir.parent,
    )
    server = RunningServer(process)
    server.start_reading()
    try:
        server.target = server.event("listening")["address"]
        if ready:
            server.event("ready")
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        server.reader.join(10)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server with the default backbone, shared by all tests that leave its state as it was."""
    with running_server(tmp_path_factory.mktemp("server") / "data", "--no-allow-download") as running:
        yield running
        assert running.terminate() == 0


@pytest.fixture(scope="session")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    """A plain channel to the shared server, for tests of the wire itself."""
    limit = 64 << 20
    options = [("grpc.max_send_message_length", limit), ("grpc.max_receive_message_length", limit)]
    with grpc.insecure_channel(server.target, options=options) as opened:
        yield opened


ServerFactory = Callable[..., contextlib.AbstractContextManager[RunningServer]]


@pytest.fixture
def start_server(tmp_path: Path) -> ServerFactory:
    """Starts a server of the test's own: `with start_server("--max-queued-images", "4") as server`."""

    def start(*flags: str, **options: Any) -> contextlib.AbstractContextManager[RunningServer]:
        return running_server(tmp_path / "data", *flags, **options)

    return start
