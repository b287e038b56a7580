"""Fine-tuning over a real server through all that can happen to it: nothing that was trained is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import penult
from tests.e2e.test_finetune import QUICK, fill
from tests.faults.test_job_kills import worker_pids
from tests.faults.test_model_kills import PATIENCE, files, serving
from tests.finetune_lab import picture
from tests.long_form import long_only

ENDLESS: dict[str, Any] = {
    **QUICK, "epochs": 5000, "patience": 5000, "checkpoint_seconds": 0.5, "schedule": "cyclic", "warmup": 0,
    "schedule_options": {"cycles": 5000}, "keep": 2, "keep_averages": True,
}  # fmt: skip


def heard(job: penult.Job[Any], wanted: Callable[[penult.JobEvent], object], after: int = 0) -> int:
    """The number of the first event after that one that is wanted."""
    for event in job.watch(after, timeout=PATIENCE):
        if wanted(event):
            return event.number
    raise AssertionError(f"the job ended: {job.refresh()}")


def trained(event: penult.JobEvent) -> bool:
    return event.metrics is not None and "validation_loss" in event.metrics


def goes_on(event: penult.JobEvent) -> bool:
    return (event.log or "").startswith("goes on after step ")


@long_only
def test_a_training_survives_all_that_can_happen_to_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, "full") as server, penult.Client(server.target) as client:
        fill(client, "stripes")
        job = client.models.finetune("cells", dataset="stripes", **ENDLESS)
        directory = data_dir / "jobs" / job.id
        heard(job, trained)
        client.datasets.delete("stripes")  # the job has names of its own for the images
        assert client.jobs.plot(job.id).png.startswith(b"\x89PNG")

        # Cancelled: nothing becomes visible, and nothing is lost.
        job.cancel()
        with pytest.raises(penult.Cancelled):
            job.result(timeout=PATIENCE)
        with pytest.raises(penult.NotFound):
            client.models.get("cells")
        assert client.jobs.plot(job.id).png.startswith(b"\x89PNG")
        assert (directory / "training" / "plain.safetensors").exists()

        # Resumed, and its worker killed: both times it goes on where it was.
        job.resume()
        seen = heard(job, goes_on)
        seen = heard(job, trained, seen)
        for pid in worker_pids(server):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        seen = heard(job, lambda event: event.state == "interrupted", seen)
        seen = heard(job, goes_on, seen)
        seen = heard(job, trained, seen)
        snapshots = list((directory / "training").glob("snapshot-*"))
        assert len(snapshots) <= ENDLESS["keep"] + 1  # one may be on its way out

        # It is good enough, and then the disk is full: once there is room, the best is published.
        (tmp_path / "full").touch()
        job.finish()
        with pytest.raises(penult.JobFailed) as failed:
            job.result(timeout=PATIENCE)
        assert (failed.value.reason, bool(failed.value.hint)) == ("DISK_FULL", True)
        assert files(data_dir) == set()
        (tmp_path / "full").unlink()
        job.finish()
        best = client.jobs.get(job.id).result(timeout=PATIENCE)
        assert isinstance(best, penult.Model)
        versions = client.models.versions("cells")
        assert best.version == max(version.version for version in versions)
        check_what_is_kept(client, best, versions)
        assert not directory.exists()
        forgotten(client, data_dir)
        assert server.terminate() == 0


def check_what_is_kept(client: penult.Client, best: penult.Model, versions: list[penult.Model]) -> None:
    """Each version can be used, and says what it is."""
    single = [version for version in versions if version.kind == "fine_tuned"]
    variants = [version.lineage.variant for version in single if version.lineage]
    assert len(set(variants)) == len(variants) == len(single)
    assert sum(variant.startswith("snapshot-") for variant in variants) == 2
    assert {"plain", "ema"} <= set(variants)
    if best.kind == "ensemble":
        assert len(best.members) == 2
        assert best.evidence is not None
    for version in versions:
        assert version.metrics["accuracy"] >= 0
        (said,) = client.models.predict(version.reference, [picture(0, 1)])
        assert said.label in best.labels


def forgotten(client: penult.Client, data_dir: Path) -> None:
    """A cancelled job leaves nothing once it is deleted."""
    fill(client, "stripes")
    job = client.models.finetune("cells", dataset="stripes", **ENDLESS)
    heard(job, lambda event: event.progress is not None and event.progress.phase == "train")
    job.cancel()
    deadline = time.monotonic() + PATIENCE
    while not job.refresh().done:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (data_dir / "jobs" / job.id).exists()
    client.jobs.delete(job.id)
    assert list((data_dir / "jobs").iterdir()) == []
