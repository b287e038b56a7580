"""Jobs over the wire, with the kind that ships: AnalyzeDataset on real pictures."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

import penult
from penult.v1 import dataset_pb2, dataset_pb2_grpc, job_pb2_grpc
from penult.v1 import job_pb2 as pb


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as client:
        yield client


@pytest.fixture(scope="module")
def flowers(client: penult.Client, sample_jpegs: list[bytes]) -> Iterator[str]:
    """Eight photos, one of them again as PNG in another split, one again smaller, and a tiny one."""
    photos = [Image.open(io.BytesIO(data)).convert("RGB") for data in sample_jpegs]
    again, small, tiny = io.BytesIO(), io.BytesIO(), io.BytesIO()
    photos[0].save(again, "PNG")
    photos[1].resize((photos[1].width // 2, photos[1].height // 2)).save(small, "PNG")
    photos[2].resize((20, 20)).save(tiny, "PNG")
    client.datasets.create("job-flowers")
    client.datasets.add("job-flowers", sample_jpegs, ["temple"] * 4 + ["flower"] * 4, split="train")
    client.datasets.add("job-flowers", again.getvalue(), ["temple"], split="test", ids=["again.png"])
    client.datasets.add("job-flowers", small.getvalue(), ["flower"], split="train", ids=["small.png"])
    client.datasets.add("job-flowers", tiny.getvalue(), split="train", ids=["tiny.png"])
    yield "job-flowers"
    client.datasets.delete("job-flowers")


def test_an_analysis_finds_what_is_wrong(client: penult.Client, flowers: str) -> None:
    job = client.datasets.analyze(flowers)
    found = job.result(timeout=120)
    assert found.dataset == flowers
    assert found.example_count == 11
    counts = {row.label: (row.count, dict(row.by_split)) for row in found.labels}
    assert counts == {
        "temple": (5, {"train": 4, "test": 1}),
        "flower": (5, {"train": 5}),
        "": (1, {"train": 1}),
    }
    assert found.split_counts == {"train": 10, "test": 1}
    assert (found.unreadable_count, found.tiny_count) == (0, 1)
    assert (found.tiny[0].id, found.tiny[0].message) == ("tiny.png", "20 x 20 pixels")
    (same,) = found.duplicates
    assert "again.png" in {example.id for example in same.examples}
    assert (same.count, same.across_splits, same.labels_differ) == (2, True, False)
    assert found.duplicate_groups_across_splits == 1
    near = [group for group in found.near_duplicates if "small.png" in {e.id for e in group.examples}]
    assert near[0].labels_differ
    assert "more than one split" in found.advice[0]
    done = job.refresh()
    assert (done.state, done.output, done.error) == ("succeeded", found, None)
    assert done.progress is not None
    assert client.jobs.list(subject=flowers, kind="analyze_dataset")[0] == done
    assert client.jobs.list(["failed"], subject=flowers) == []


def test_events_can_be_watched_again_from_any_number(client: penult.Client, flowers: str) -> None:
    job = client.datasets.analyze(flowers)
    events = list(job.watch(timeout=120))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.state for event in events if event.state] == ["queued", "running", "succeeded"]
    assert any(event.progress and event.progress.unit == "images" for event in events)
    assert any(event.log and "11 examples" in event.log for event in events)
    for after in (0, 3, len(events)):
        assert list(job.watch(after)) == events[after:]


def test_a_snapshot_outlives_its_dataset(client: penult.Client, sample_jpegs: list[bytes]) -> None:
    client.datasets.create("job-gone")
    client.datasets.add("job-gone", sample_jpegs, ["a"] * 8)
    job = client.datasets.analyze("job-gone")
    client.datasets.delete("job-gone")
    found = job.result(timeout=120)
    assert (found.example_count, found.unreadable_count) == (8, 0)


def test_what_prevents_a_start_is_said_at_once(client: penult.Client) -> None:
    with pytest.raises(penult.NotFound):
        client.datasets.analyze("job-nothing")
    client.datasets.create("job-empty")
    with pytest.raises(penult.FailedPrecondition) as refused:
        client.datasets.analyze("job-empty")
    assert refused.value.reason == "DATASET_EMPTY"
    client.datasets.delete("job-empty")
    assert client.jobs.list(subject="job-empty") == []


def test_cancel_resume_delete(client: penult.Client, flowers: str) -> None:
    jobs = [client.datasets.analyze(flowers) for _ in range(3)]
    cancelled = jobs[2].cancel()
    with pytest.raises(penult.Cancelled) as ended:
        cancelled.result(timeout=120)
    assert ended.value.reason == "JOB_CANCELLED"
    assert ended.value.metadata == {"job": cancelled.id}
    assert client.jobs.resume(cancelled.id).result(timeout=120).example_count == 11
    with pytest.raises(penult.FailedPrecondition):
        client.jobs.resume(cancelled.id)
    client.jobs.delete(cancelled.id)
    for call in (client.jobs.get, client.jobs.cancel, client.jobs.resume, client.jobs.delete):
        with pytest.raises(penult.NotFound):
            call(cancelled.id)
    with pytest.raises(penult.NotFound):
        list(cancelled.watch())


def test_a_wait_that_is_too_short_leaves_the_job_alone(client: penult.Client, flowers: str) -> None:
    job = client.datasets.analyze(flowers)
    with pytest.raises(penult.DeadlineExceeded):
        job.result(timeout=0.001)
    assert job.result(timeout=120).example_count == 11


def test_a_repeated_request_is_the_same_job(channel: grpc.Channel, flowers: str) -> None:
    stub = dataset_pb2_grpc.DatasetServiceStub(channel)
    request = dataset_pb2.AnalyzeDatasetRequest(name=flowers, request_id="job-once")
    ids = {stub.AnalyzeDataset(request, timeout=30).job.id for _ in range(3)}
    assert len(ids) == 1


def test_pages_and_bad_requests(channel: grpc.Channel, client: penult.Client, flowers: str) -> None:
    for _ in range(3):
        client.datasets.analyze(flowers).result(timeout=120)
    stub = job_pb2_grpc.JobServiceStub(channel)
    request, found = pb.ListJobsRequest(page_size=2), []
    while True:
        page = stub.ListJobs(request, timeout=10)
        assert len(page.jobs) <= 2
        found += [job.id for job in page.jobs]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == sorted(found, reverse=True)
    assert found == [job.id for job in client.jobs.list()]
    assert len(client.jobs.list(limit=2)) == 2
    for wrong in (
        pb.ListJobsRequest(page_size=1001),
        pb.ListJobsRequest(page_token="?"),
        pb.ListJobsRequest(states=[77]),  # type: ignore[list-item]
    ):
        with pytest.raises(grpc.RpcError) as refused:
            stub.ListJobs(wrong, timeout=10)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(penult.InvalidArgument):
        client.jobs.list(["done"])  # type: ignore[list-item]


async def test_asyncio_client(server: Any, flowers: str) -> None:
    async with penult.AsyncClient(server.target) as client:
        job = await client.datasets.analyze(flowers)
        events = [event async for event in job.watch()]
        assert events[-1].state == "succeeded"
        assert (await job.result(timeout=120)).example_count == 11
        assert job.id in {each.id for each in await client.jobs.list()}
        assert (await (await client.jobs.get(job.id)).cancel()).state == "succeeded"
        with pytest.raises(penult.FailedPrecondition):
            await job.resume()
        await client.jobs.delete(job.id)
        with pytest.raises(penult.NotFound):
            await job.refresh()


def test_command_line(server: Any, client: penult.Client, flowers: str, tmp_path: Path) -> None:
    def run(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "penult.cli", *words, "--target", server.target],
            capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    analysis = run("datasets", "analyze", flowers)
    assert "label temple\t5" in analysis.stdout
    assert "succeeded" in analysis.stderr
    assert "advice: 1 groups of duplicates lie in more than one split" in analysis.stderr
    assert json.loads(run("datasets", "analyze", flowers, "--json").stdout)["example_count"] == 11
    job_id = run("datasets", "analyze", flowers, "--no-wait").stdout.strip()
    assert "succeeded" in run("jobs", "watch", job_id).stderr
    assert json.loads(run("jobs", "get", job_id, "--json").stdout)["state"] == "succeeded"
    assert "state\tsucceeded" in run("jobs", "get", job_id).stdout
    assert job_id in run("jobs").stdout
    assert job_id not in run("jobs", "list", "--state", "failed").stdout
    assert "state\tsucceeded" in run("jobs", "cancel", job_id).stdout
    assert "JOB_STATE_MISMATCH" in run("jobs", "resume", job_id, status=1).stderr
    run("jobs", "delete", job_id)
    assert "JOB_NOT_FOUND" in run("jobs", "get", job_id, status=1).stderr
