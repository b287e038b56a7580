"""A disk that is really full, and one that turns read-only: writes say so, all else works, none is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penult
from tests.e2e.conftest import RunningServer, running_server
from tests.long_form import long_only
from tests.pictures import coloured_png, tiny_png
from tests.volumes import clear, ext4, fill, reserve, tmpfs

FLAGS = ("--no-allow-download", "--feature-cache-mb", "1", "--min-free-disk-mb", "1")
SECONDS = 300
DIM = 64


class Kept:
    """What the server has acknowledged, and a way to write more of everything."""

    def __init__(self, client: penult.Client) -> None:
        self.client = client
        self.examples = self.items = self.refused = 0
        self.rng = np.random.default_rng(1)
        client.datasets.create("a")
        client.indexes.create("i", dim=DIM)

    def upload(self, count: int = 50) -> None:
        numbers = range(self.examples, self.examples + count)
        summary = self.client.datasets.add("a", [coloured(n) for n in numbers], "red", split="train")
        assert (summary.added, summary.errors) == (count, ())
        self.examples += count

    def index(self, count: int = 50) -> None:
        ids = [str(n) for n in range(self.items, self.items + count)]
        vectors = self.rng.normal(size=(count, DIM)).astype(np.float32)
        metadata = [{"text": "x" * 15000}] * count
        self.client.indexes.get("i").add_vectors(vectors, ids=ids, metadata=metadata)
        self.items += count

    def until_refused(self, write: Callable[[], None], reason: str, most: int = 400) -> None:
        for _ in range(most):
            try:
                write()
            except (penult.ResourceExhausted, penult.FailedPrecondition) as error:
                if error.reason != reason:
                    raise
                self.refused += 1
                return
        raise AssertionError(f"{most} writes, and none was refused")

    def refuses(self, reason: str) -> None:
        """Every kind of write, by reason and hint; and no path of the server."""
        writes: tuple[Callable[[], Any], ...] = (
            self.upload,
            self.index,
            lambda: self.client.datasets.create("another"),
            lambda: self.client.datasets.analyze("a"),
            lambda: self.client.datasets.split("a", train=0.5, validation=0.0, test=0.5, reassign=True),
            lambda: self.client.indexes.create("another", dim=DIM),
            lambda: self.client.indexes.set_alias("alias", "i"),
            lambda: self.client.datasets.delete("a"),
        )
        for write in writes:
            with pytest.raises((penult.ResourceExhausted, penult.FailedPrecondition)) as caught:
                write()
            assert caught.value.reason == reason
            assert caught.value.hint
            assert "/" not in caught.value.message
            self.refused += 1

    def check(self, *, whole: bool = True) -> None:
        """All that was acknowledged is there; with `whole`, what reads and computes works too."""
        counts = self.client.datasets.get("a").counts
        assert counts.train == self.examples
        assert self.client.indexes.get("i").stats().item_count == self.items
        if whole:
            hits = self.client.indexes.get("i").search(vector=np.ones(DIM, np.float32), k=5)
            assert len(hits) == min(5, self.items)
            assert self.client.extract([coloured(1)]).shape == (1, 1280)
            assert self.client.health().serving


def coloured(number: int) -> bytes:
    """A few hundred bytes; no two alike."""
    return coloured_png("red", number % 4096) if number < 4096 else tiny_png(number)


def start(data_dir: Path) -> Any:
    return running_server(data_dir, *FLAGS)


def no_fault(server: RunningServer) -> None:
    assert [event for event in server.events if event["event"] in ("internal_error", "not_json")] == []


@long_only
def test_a_full_disk_refuses_writes_and_loses_none_before(tmp_path: Path, count: Callable[..., None]) -> None:
    with tmpfs(tmp_path / "disk", 40) as disk:
        data_dir = disk / "data"
        with start(data_dir) as server, penult.Client(server.target, timeout=SECONDS) as client:
            reserve(disk, 12)
            kept = Kept(client)
            kept.upload()
            kept.index()
            kept.until_refused(lambda: kept.index(100), "DISK_FULL")
            kept.check()
            fill(disk)
            kept.refuses("DISK_FULL")
            kept.check()
            clear(disk)
            kept.upload()
            job = client.datasets.analyze("a")
            assert job.result(timeout=SECONDS).example_count == kept.examples
            fill(disk)
            no_fault(server)
            server.process.kill()
        # It comes back on the full disk or says why not, and is whole once there is room.
        clear(disk)
        with start(data_dir) as server, penult.Client(server.target, timeout=SECONDS) as client:
            kept.client = client
            kept.check()
            kept.upload()
            kept.check()
            assert server.terminate() == 0
        assert kept.refused >= 9
        count(refused=kept.refused, acknowledged=kept.examples + kept.items, lost=0)


@pytest.mark.slow
def test_a_disk_that_fails_refuses_writes_and_keeps_what_was_acknowledged(
    tmp_path: Path, count: Callable[..., None]
) -> None:
    with ext4(tmp_path / "disk", tmp_path / "disk.img", 96) as trigger:
        data_dir = tmp_path / "disk" / "data"
        with start(data_dir) as server, penult.Client(server.target, timeout=SECONDS) as client:
            kept = Kept(client)
            kept.upload()
            kept.index()
            trigger.write_text("a test of penult")
            kept.refuses("DISK_READ_ONLY")
            kept.check()
            no_fault(server)
            server.terminate()
        again = subprocess.run(
            [sys.executable, "-m", "penult_server", "serve", "--listen", "127.0.0.1:0",
             "--data-dir", str(data_dir)],
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        count(refused=kept.refused, acknowledged=kept.examples + kept.items, lost=0)
        assert again.returncode == 1
        assert "DATA_DIR_UNUSABLE" in again.stderr
        assert "Traceback" not in again.stderr
