"""Kill -9 of workers and servers at random moments: no job is lost, and none is done twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penult
from penult_server.core.jobs import Job, JobChange, JobState, StateChange
from penult_server.store.database import FILE, Database
from penult_server.store.job_directories import JobDirectories
from penult_server.store.jobs import DatabaseJobs
from tests.e2e.conftest import RunningServer, running_server
from tests.job_kinds import as_result
from tests.job_lab import path_of_kinds

STEPS = 60
PATIENCE = 240
"""Seconds; a machine that does other things may take long to start a server."""


@contextlib.contextmanager
def server_of_kinds(data_dir: Path) -> Iterator[RunningServer]:
    """A server that knows the kinds of the tests, without waiting for its backbone."""
    flags = ("--no-allow-download", "--drain-seconds", "5", "--max-workers", "2")
    with running_server(
        data_dir, *flags, ready=False, module="tests.serve_job_kinds", PYTHONPATH=path_of_kinds()
    ) as server:
        yield server


def queue(data_dir: Path, job_id: str, kind: str, *, resumable: bool, **parameters: Any) -> None:
    """Puts a job where a server finds it at its start: kinds of the tests have no call of their own."""
    database = Database(data_dir / FILE)
    JobDirectories(data_dir / "jobs").create(job_id)
    job = Job(job_id, kind, "subject", JobState.QUEUED, time.time(), resumable, parameters=parameters)
    DatabaseJobs(database, 10_000).add(JobChange(job, (StateChange(JobState.QUEUED),)), time.time(), "")
    database.close()


def worker_pids(server: RunningServer) -> list[int]:
    """Worker processes of this server."""
    found = []
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            pids = map(int, (task / "children").read_text().split())
            found += [p for p in pids if b"engine.workers" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return found


@pytest.mark.slow
def test_a_resumable_job_survives_ten_kills_of_worker_or_server(
    tmp_path: Path, count: Callable[..., None]
) -> None:
    data_dir, chance = tmp_path / "data", random.Random(3)
    queue(data_dir, "counting", "count", resumable=True, steps=STEPS, seconds=0.15)
    queue(data_dir, "waiting", "once", resumable=False, seconds=600.0)
    for kill in range(10):
        with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
            time.sleep(chance.uniform(0.1, 1.5))
            if kill % 2 and (pids := worker_pids(server)):
                os.kill(chance.choice(pids), signal.SIGKILL)
                time.sleep(0.2)
                assert client.jobs.get("counting").state != "failed"
            server.process.kill()
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        job = client.jobs.get("counting")
        assert job.result(timeout=PATIENCE).advice == (f"counted to {STEPS}",)
        events = list(job.watch())
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        interrupted = sum(event.state == "interrupted" for event in events)
        assert interrupted >= 5
        count(kills=10, jobs=2, interrupted=interrupted, lost=0)
        other = client.jobs.get("waiting")
        assert other.state == "failed"
        assert other.error is not None
        assert other.error.reason in ("SERVER_ENDED", "WORKER_KILLED")
        assert server.terminate() == 0


def test_a_worker_killed_for_memory_leaves_serving_alive(tmp_path: Path, sample_jpegs: list[bytes]) -> None:
    data_dir = tmp_path / "data"
    queue(data_dir, "hungry", "killed", resumable=False)
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        failed = client.jobs.get("hungry")
        for _ in failed.watch(timeout=PATIENCE):
            assert client.extract(sample_jpegs[:1]).shape == (1, 1280)
        error = client.jobs.get("hungry").error
        assert error is not None
        assert error.reason == "WORKER_KILLED"
        server.event("ready")
        assert client.health().serving
        assert server.terminate() == 0


def test_watching_goes_on_over_a_restart_without_a_gap_or_a_repeat(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    queue(data_dir, "counting", "count", resumable=True, steps=30, seconds=0.1)
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        watching = client.jobs.get("counting").watch()
        numbers = [next(watching).number for _ in range(8)]
        watching.close()
        server.process.kill()
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        job = client.jobs.get("counting")
        numbers += [event.number for event in job.watch(numbers[-1])]
        assert numbers == list(range(1, job.refresh().last_event + 1))
        assert job.refresh().state == "succeeded"


def test_a_worker_does_not_outlive_its_server(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    queue(data_dir, "waiting", "once", resumable=False, seconds=600.0)
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        for event in client.jobs.get("waiting").watch(timeout=PATIENCE):
            if event.progress is not None:
                break
        (pid,) = worker_pids(server)
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_result_that_was_complete_when_the_server_died_is_not_computed_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    queue(data_dir, "whole", "once", resumable=False, seconds=600.0)
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        for event in client.jobs.get("whole").watch(timeout=PATIENCE):
            if event.progress is not None:
                break
        server.process.kill()
    (data_dir / "jobs" / "whole" / "result.json").write_text(json.dumps(as_result("whole")))
    with server_of_kinds(data_dir) as server, penult.Client(server.target) as client:
        assert client.jobs.get("whole").result(timeout=PATIENCE).advice == ("whole",)
