"""The clock is put back and forth under a server: nothing gets lost, out of order, or open again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penult
from penult_server.core.access import REFRESH_SECONDS
from tests.e2e.conftest import RunningServer, running_server
from tests.job_lab import path_of_kinds
from tests.long_form import long_only
from tests.pictures import coloured_png

HOUR, DAY = 3600.0, 24 * 3600.0
PATIENCE = 400


class Clock:
    """The clock of a server that runs as tests.serve_clock."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.puts = 0
        self.put(0)

    def put(self, offset: float) -> None:
        """Whole or not at all: the server reads it all the time."""
        aside = self.file.with_suffix(".new")
        aside.write_text(str(offset))
        aside.rename(self.file)
        self.puts += 1


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def serving(tmp_path: Path, clock: Clock) -> Any:
    flags = ("--no-allow-download", "--keep-jobs", "3", "--max-workers", "1")
    return running_server(
        tmp_path / "data", *flags, module="tests.serve_clock",
        CLOCK=str(clock.file), PYTHONPATH=path_of_kinds(),
    )  # fmt: skip


@long_only
def test_a_clock_that_is_put_back_loses_and_reopens_nothing(
    tmp_path: Path, clock: Clock, count: Callable[..., None]
) -> None:
    with serving(tmp_path, clock) as server, penult.Client(server.target) as client:
        client.datasets.create("a")
        client.datasets.add("a", [coloured_png("red", n) for n in range(20)], "red", split="train")
        first = [analysed(client) for _ in range(3)]
        clock.put(-30 * DAY)
        in_flight(client, clock)
        # The newest is kept though its time is the oldest, and is the first of the list.
        latest = analysed(client)
        assert client.jobs.list()[0].id == latest
        assert latest > max(first)
        job = client.jobs.get(latest)
        assert job.started is not None
        assert job.ended is not None
        assert job.created <= job.started <= job.ended
        index = client.indexes.create("i", "tf_efficientnet_lite0")
        index.add([coloured_png("blue", n) for n in range(5)], ids=[str(n) for n in range(5)])
        assert server.terminate() == 0
    clock.put(-365 * DAY)  # as after a battery that is empty
    with serving(tmp_path, clock) as server, penult.Client(server.target) as client:
        assert client.datasets.get("a").counts.train == 20
        assert client.indexes.get("i").stats().item_count == 5
        again = analysed(client)
        assert again > latest
        assert client.jobs.list()[0].id == again
        expired_keys_stay_expired(server, client, clock, tmp_path / "data")
        assert [event for event in server.events if event["event"] == "internal_error"] == []
        assert server.terminate() == 0
    count(clock_put=clock.puts, acknowledged=20 + 5 + 5, lost=0)


def analysed(client: penult.Client) -> str:
    job = client.datasets.analyze("a")
    assert job.result(timeout=PATIENCE).example_count == 20
    return job.id


def in_flight(client: penult.Client, clock: Clock) -> None:
    """Calls with deadlines, batches and a stream go on while the clock jumps in both directions."""
    pictures = [coloured_png("green", n) for n in range(40)]
    expected = client.extract(pictures[:4], timeout=PATIENCE)
    done = threading.Event()

    def jump() -> None:
        offsets = (-DAY, DAY, -30 * DAY, HOUR, -HOUR)
        while not done.is_set():
            for offset in offsets:
                clock.put(offset - 30 * DAY)
                time.sleep(0.02)

    thread = threading.Thread(target=jump)
    thread.start()
    try:
        for _ in range(10):
            features = client.extract(pictures, timeout=PATIENCE)
            np.testing.assert_allclose(features[:4], expected, atol=1e-3 * float(np.abs(expected).max()))
            assert client.health().serving
    finally:
        done.set()
        thread.join()
        clock.put(-30 * DAY)


def expired_keys_stay_expired(
    server: RunningServer, client: penult.Client, clock: Clock, data_dir: Path
) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tests.serve_clock", "keys", "create", "brief", "--scopes", "read",
         "--expires", "1h", "--data-dir", str(data_dir)],
        env={**os.environ, "CLOCK": str(clock.file)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    time.sleep(REFRESH_SECONDS)  # within which the server knows of its first key
    with penult.Client(server.target, api_key=made.stdout.strip()) as caller:
        assert caller.backbones.list()
        clock.put(-364 * DAY)
        refused(caller, "API_KEY_EXPIRED")
        clock.put(-365 * DAY)
        refused(caller, "API_KEY_EXPIRED")
    refused(client, "API_KEY_MISSING")


def refused(client: penult.Client, reason: str) -> None:
    with pytest.raises(penult.Unauthenticated) as caught:
        client.backbones.list()
    assert caught.value.reason == reason
