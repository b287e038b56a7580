"""A Penult server of the demo's own: started as a process, awaited, and never left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import penult
from penult.demo.errors import DemoError

START_SECONDS = 180
STOP_SECONDS = 60
LOG_LINES = 8


@dataclasses.dataclass(frozen=True)
class Server:
    """`penult-server serve` in a process."""

    process: subprocess.Popen[bytes]
    log: Path
    target: str
    seconds_to_ready: float


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """A server that says it is ready, on a free port of this machine, with a data directory for one run.

    At the end it gets SIGTERM and must exit with status 0.

    Raises:
        DemoError: it does not start, or does not end as it should; the end of its log is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="penult-demo-") as scratch:
        log = Path(scratch) / "server.log"
        command = [sys.executable, "-m", "penult_server", "serve"]
        command += ["--listen", "127.0.0.1:0", "--data-dir", str(Path(scratch) / "data")]
        command += ["--log-level", "info", "--log-format", "json"]
        with log.open("wb") as sink:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            started = time.monotonic()
            target = _await_address(process, log, started + START_SECONDS)
            _await_ready(process, log, target, started + START_SECONDS)
            yield Server(process, log, target, time.monotonic() - started)
            _stop(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _await_address(process: subprocess.Popen[bytes], log: Path, deadline: float) -> str:
    """HOST:PORT as the log reports it."""
    while time.monotonic() < deadline:
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):  # libraries write lines of their own
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == "listening":
                    return str(event["address"])
        _check_alive(process, log)
        time.sleep(0.1)
    raise _failure("the server did not start in time", log)


def _await_ready(process: subprocess.Popen[bytes], log: Path, target: str, deadline: float) -> None:
    """Returns when the server's own forward pass has succeeded."""
    with penult.Client(target) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(penult.Unavailable, penult.DeadlineExceeded):
                if client.health():
                    return
            _check_alive(process, log)
            time.sleep(0.1)
    raise _failure("the server did not become ready in time", log)


def _check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise _failure(f"the server ended with status {process.returncode} before it was ready", log)


def _stop(process: subprocess.Popen[bytes], log: Path) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        raise _failure(f"the server did not stop within {STOP_SECONDS} s", log) from None
    if status != 0:
        raise _failure(f"the server stopped with status {status} instead of 0", log)


def _failure(message: str, log: Path) -> DemoError:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    said = "".join(f"\n    {line}" for line in lines)
    return DemoError(f"{message}; the end of its log:{said or ' (empty)'}", "`make serve` shows all of it")
