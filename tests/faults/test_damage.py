"""Damage on the disk: it is found and told as what it is, and hurts nothing beside."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penult
from penult_server.store.database import FILE
from tests.e2e.conftest import START_SECONDS, running_server
from tests.e2e.test_models import HEAD, LABELS, fill
from tests.long_form import long_only
from tests.pictures import coloured_png

ROUNDS = 6
PAGE, DIM, ITEMS, EACH = 4096, 32, 600, 16
SECONDS = 300
FLAGS = ("--no-allow-download", "--feature-cache-mb", "0")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a server that has a bit of everything and was stopped."""
    data_dir = tmp_path_factory.mktemp("filled") / "data"
    with running_server(data_dir, *FLAGS) as server, penult.Client(server.target, timeout=SECONDS) as client:
        fill(client, "colours", each=EACH)
        client.models.train_head("colours", dataset="colours", head=HEAD).result(timeout=SECONDS)
        vectors = np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)
        ids, metadata = [str(n) for n in range(ITEMS)], [{"text": "x" * 400}] * ITEMS
        client.indexes.create("i", dim=DIM).add_vectors(vectors, ids=ids, metadata=metadata)
        assert server.terminate() == 0
    return data_dir


@long_only
def test_damaged_pages_of_the_database_are_told_as_data_loss(
    filled: Path, tmp_path: Path, count: Callable[..., None]
) -> None:
    outcomes = {"served": 0, "refused": 0, "right": 0, "lost": 0}
    for seed in range(ROUNDS):
        data_dir = tmp_path / str(seed)
        shutil.copytree(filled, data_dir)
        overwrite_pages(data_dir / FILE, random.Random(seed))
        doctor = penult_server("doctor", data_dir)
        assert doctor.returncode == 1, doctor.stdout
        assert "restore the latest backup" in doctor.stdout
        try:
            with running_server(data_dir, *FLAGS, ready=False) as server:
                use(server.target, outcomes)
                faults = [
                    event for event in server.events if event["event"] in ("internal_error", "not_json")
                ]
                assert not faults, faults
                server.terminate()
            outcomes["served"] += 1
        except AssertionError as error:
            said = str(error)
            if "no 'listening'" not in said:
                raise
            assert "DATABASE_DAMAGED" in said
            assert "Traceback" not in said
            outcomes["refused"] += 1
        shutil.rmtree(data_dir)
    assert outcomes["served"] + outcomes["refused"] == ROUNDS
    assert outcomes["refused"] or outcomes["lost"]
    count(
        databases=ROUNDS, no_start=outcomes["refused"],
        calls_right=outcomes["right"], calls_told_of_the_loss=outcomes["lost"],
    )  # fmt: skip


def overwrite_pages(file: Path, rng: random.Random) -> None:
    """A fifth of its pages; the first stays, so that it still looks like a database."""
    data = bytearray(file.read_bytes())
    pages = len(data) // PAGE
    assert pages > 100
    for page in rng.sample(range(2, pages), pages // 5):
        data[page * PAGE : (page + 1) * PAGE] = rng.randbytes(PAGE)
    file.write_bytes(data)


def use(target: str, outcomes: dict[str, int]) -> None:
    """Each call is right, or says that data is lost; what needs no database works."""
    with penult.Client(target, timeout=SECONDS) as client:
        calls: tuple[Callable[[], Any], ...] = (
            lambda: client.datasets.get("colours").counts.train == EACH * len(LABELS),
            lambda: len(list(client.datasets.examples("colours"))) == (EACH + EACH // 4) * len(LABELS),
            lambda: client.models.predict("colours", coloured_png("red", 4000))[0].label == "red",
            lambda: [version.version for version in client.models.versions("colours")] == [1],
            lambda: client.indexes.get("i").stats().item_count == ITEMS,
            lambda: len(client.indexes.get("i").search(vector=np.ones(DIM, np.float32), k=9)) == 9,
            lambda: len(client.jobs.list()) == 1,
            lambda: client.datasets.create("new").name == "new",
        )
        for call in calls:
            try:
                assert call()
                outcomes["right"] += 1
            except (penult.DataLoss, penult.Unavailable) as error:
                # An index whose rows cannot be read goes on loading.
                if error.reason not in ("DATABASE_DAMAGED", "INDEX_LOADING"):
                    raise
                outcomes["lost"] += 1
        assert client.extract([coloured_png("red", 1)]).shape == (1, 1280)
        assert client.health().serving


@long_only
def test_damaged_and_missing_images_cost_themselves_alone(filled: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(filled, data_dir)
    with running_server(data_dir, *FLAGS) as server, penult.Client(server.target, timeout=SECONDS) as client:
        train = [example.sha256 for example in client.datasets.examples("colours", split="train")]
        changed, gone, empty = (data_dir / "blobs" / sha256[:2] / sha256[2:] for sha256 in train[:3])
        changed.write_bytes(coloured_png("blue", 4000))  # a picture, and not this one
        gone.unlink()
        empty.write_bytes(b"")
        job = client.models.train_head("again", dataset="colours", head=HEAD)
        assert job.result(timeout=SECONDS).reference == "again@1"
        assert job.refresh().metrics["images_failed"] == 3
        # Whatever can be decoded is a picture to the analysis.
        assert client.datasets.analyze("colours").result(timeout=SECONDS).unreadable_count == 2
        assert client.models.predict("colours", coloured_png("red", 4000))[0].label == "red"
        assert [event for event in server.events if event["event"] == "internal_error"] == []
        assert server.terminate() == 0


def penult_server(command: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penult_server", command, "--listen", "127.0.0.1:0",
         "--data-dir", str(data_dir)],
        capture_output=True, text=True, check=False, timeout=START_SECONDS,
    )  # fmt: skip
