"""A real server with default settings, in a process of its own, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_START_SECONDS, _STOP_SECONDS, _POLL_SECONDS = 600, 40, 0.2


@contextlib.contextmanager
def running_server(*flags: str) -> Iterator[tuple[str, int]]:
    """Starts `penult-server serve`, waits until it is ready, yields its address and process id.

    Environment variables that would change its settings are left out. Raises RuntimeError with its
    last words where it does not become ready.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENULT_")}
    command = [sys.executable, "-m", "penult_server", "serve", "--listen", "127.0.0.1:0"]
    with tempfile.TemporaryDirectory(prefix="penult-bench-") as folder:
        log = Path(folder, "log")
        with log.open("w") as file:  # not a pipe: reading it would cost this machine time for every call
            process = subprocess.Popen(
                [*command, "--data-dir", f"{folder}/data", "--log-format", "json", *flags],
                stderr=file,
                env=environment,
            )
        try:
            yield _wait_until_ready(process, log), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address from the log."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        lines = log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        if any(event["event"] == "ready" for event in events):
            return next(event["address"] for event in events if event["event"] == "listening")
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-4000:]}")
