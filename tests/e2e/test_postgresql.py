"""The server with its rows in PostgreSQL: everything that lasts, an outage, kill -9, a backup under load.

With PENULT_TEST_POSTGRESQL=1 other end-to-end tests run on it too: `make test-faults` does that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import penult
from tests.databases import Cluster
from tests.e2e.conftest import running_server
from tests.e2e.test_models import HEAD, fill
from tests.pictures import coloured_png, tiny_png

SECONDS = 240
PASSWORD = "secret-of-tests"


def operator(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "penult_server", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, 8)).astype(np.float32)


def check(client: penult.Client) -> None:
    """All that was made is there, and works."""
    assert client.datasets.get("colours").counts.total == 30
    assert client.models.get("colours").aliases == ("live",)
    (prediction,) = client.models.predict("colours@live", [coloured_png("red", 77)])
    assert prediction.label == "red"
    index = client.indexes.get("vectors")
    assert [hit.id for hit in index.search(vector=rows(300)[[7]], k=1)[0]] == ["v7"]
    even = index.search(vector=rows(300)[[7]], k=300, filter='parity = "even" and number < 100')[0]
    assert sorted(hit.metadata["number"] for hit in even) == list(range(0, 100, 2))
    assert {job.state for job in client.jobs.list()} == {"succeeded"}


def test_everything_lasts_in_postgresql(postgresql: Cluster, tmp_path: Path) -> None:
    data_dir, url = tmp_path / "data", postgresql.new()
    acknowledged: list[str] = []
    with running_server(data_dir, PENULT_DATABASE_URL=url) as server, penult.Client(server.target) as client:
        fill(client, "colours")
        client.models.train_head("colours", dataset="colours", head=HEAD).result(timeout=SECONDS)
        client.models.set_alias("colours", "live")
        client.jobs.get(client.datasets.analyze("colours").id).result(timeout=SECONDS)
        index = client.indexes.create("vectors", dim=8)
        metadata = [{"number": n, "parity": "odd" if n % 2 else "even"} for n in range(300)]
        index.add_vectors(rows(300), ids=[f"v{n}" for n in range(300)], metadata=metadata)
        check(client)
        postgresql.run("ALTER DATABASE clean ALLOW_CONNECTIONS false")
        try:
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penult'"
            postgresql.run(kill)
            with pytest.raises(penult.Unavailable) as caught:
                client.datasets.create("unreachable")
            assert caught.value.reason == "DATABASE_UNREACHABLE"
            assert str(postgresql.folder) not in str(caught.value)
        finally:
            postgresql.run("ALTER DATABASE clean ALLOW_CONNECTIONS true")
        client.datasets.create("killed")

        def upload() -> None:
            with contextlib.suppress(penult.PenultError):
                for number in range(10_000):
                    client.datasets.add("killed", [tiny_png(number)], "x")
                    acknowledged.append(str(number))
                    if number == 20:
                        half.set()

        half = threading.Event()
        uploading = threading.Thread(target=upload)
        uploading.start()
        assert half.wait(SECONDS)
        operator("backup", str(tmp_path / "backup"), "--data-dir", str(data_dir), "--database-url", url)
        server.process.send_signal(signal.SIGKILL)
        uploading.join()
    assert PASSWORD not in str(server.events)
    with running_server(data_dir, PENULT_DATABASE_URL=url) as server, penult.Client(server.target) as client:
        check(client)
        assert client.datasets.get("killed").counts.total - len(acknowledged) in (0, 1)
        assert server.terminate() == 0
    if not os.environ.get("PENULT_TEST_LONG"):
        return  # that rows go from any database to any is in tests/unit/store/test_backup.py
    operator("restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "again"))
    again = running_server(tmp_path / "again", PENULT_DATABASE_URL="")
    with again as server, penult.Client(server.target) as client:
        check(client)
        assert client.datasets.get("killed").counts.total >= 21
