"""Kills, a full disk and damage around a training: no version is lost, doubled, or there by half."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penult
from tests.e2e.conftest import RunningServer, running_server
from tests.e2e.test_models import HEAD, LABELS, fill
from tests.faults.test_job_kills import worker_pids
from tests.job_lab import path_of_kinds
from tests.pictures import coloured_png

PATIENCE = 400
"""Seconds; a machine that does other things may take long."""
FLAGS = ("--no-allow-download", "--drain-seconds", "5")


@contextlib.contextmanager
def serving(data_dir: Path, die_at: str = "") -> Iterator[RunningServer]:
    """A server, which ends or fails in the middle of a publication if it is told to."""
    options: dict[str, Any] = {}
    if die_at:
        options = {"module": "tests.serve_dying", "PYTHONPATH": path_of_kinds(), "DIE_AT": die_at}
    with running_server(data_dir, *FLAGS, ready=False, **options) as server:
        yield server


def died(server: RunningServer) -> None:
    """Waits for the end that it was told."""
    assert server.process.wait(PATIENCE) == -signal.SIGKILL


def files(data_dir: Path) -> set[str]:
    return {path.name for path in (data_dir / "models").iterdir()} - {".incoming"}


@pytest.mark.slow
def test_a_training_survives_kills_in_every_phase(tmp_path: Path, count: Callable[..., None]) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir) as server, penult.Client(server.target) as client:
        fill(client, "colours", each=60)
        job = client.models.train_head("colours", dataset="colours", head=HEAD)
        for event in job.watch(timeout=PATIENCE):
            if event.progress is not None and event.progress.phase == "features":
                break
        server.process.kill()  # in the stage
    with serving(data_dir, "files") as server:
        died(server)
    assert files(data_dir) == {job.id}
    with pytest.raises(AssertionError, match="listening"), serving(data_dir, "row"):
        pass  # it publishes, and ends, before it listens
    with serving(data_dir, "full") as server, penult.Client(server.target) as client:
        done = client.jobs.get(job.id)
        assert done.result(timeout=PATIENCE).reference == "colours@1"
        states = [event.state for event in done.watch() if event.state]
        assert states.count("succeeded") == 1
        assert states.count("interrupted") == 2  # the third time it was so already
        assert [version.version for version in client.models.versions("colours")] == [1]
        assert files(data_dir) == {job.id}
        assert [one.label for one in client.models.predict("colours", map(picture, LABELS))] == list(LABELS)
        kill_the_worker(server, client)
        fill_the_disk(client, tmp_path / "full", data_dir)
        damage_a_version(client, data_dir)
        assert server.terminate() == 0
    assert list((data_dir / "jobs").iterdir()) == []
    count(kills=4, full_disks=1, damaged_files=1, versions=3, lost=0)


def kill_the_worker(server: RunningServer, client: penult.Client) -> None:
    job = client.models.train_head("colours", dataset="colours", head=HEAD)
    deadline = time.monotonic() + PATIENCE
    while not (pids := worker_pids(server)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert job.result(timeout=PATIENCE).reference == "colours@2"
    assert job.refresh().metrics["features_extracted"] == 0


def fill_the_disk(client: penult.Client, full: Path, data_dir: Path) -> None:
    """A full disk when all is done: nothing is published, and once there is room the job goes on."""
    before = files(data_dir)
    full.touch()
    job = client.models.train_head("colours", dataset="colours", head=HEAD)
    with pytest.raises(penult.JobFailed) as failed:
        job.result(timeout=PATIENCE)
    assert failed.value.reason == "DISK_FULL"
    assert len(client.models.versions("colours")) == 2
    assert files(data_dir) == before
    full.unlink()
    assert job.resume().result(timeout=PATIENCE).reference == "colours@3"
    assert files(data_dir) == {*before, job.id}


def damage_a_version(client: penult.Client, data_dir: Path) -> None:
    """It is found, and hurts no other."""
    bad = client.models.get("colours@2")
    assert bad.lineage is not None
    weights = data_dir / "models" / bad.lineage.job / "head.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    for use in (
        lambda: client.models.predict("colours@2", picture("red")),
        lambda: client.models.evaluate("colours@2", dataset="colours"),
    ):
        with pytest.raises(penult.DataLoss) as caught:
            use()
        assert caught.value.reason == "MODEL_DAMAGED"
        assert str(data_dir) not in caught.value.message
    assert client.models.predict("colours@3", picture("red"))[0].label == "red"
    assert client.models.delete("colours@2") == 1


def picture(label: str) -> bytes:
    return coloured_png(label, 4000)
