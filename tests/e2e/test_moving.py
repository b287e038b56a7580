"""Models and indexes on their way from one server to another."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import penult
from penult.v1 import index_pb2, model_archive_pb2, model_pb2_grpc
from tests.e2e.conftest import RunningServer, running_server
from tests.e2e.test_finetune import QUICK
from tests.e2e.test_finetune import fill as fill_stripes
from tests.e2e.test_models import fill
from tests.finetune_lab import picture
from tests.long_form import long_only
from tests.pictures import coloured_png

SECONDS = 240
PICTURES = [coloured_png(label, 200 + n) for n in range(4) for label in ("red", "green", "blue")]


@pytest.fixture(scope="module")
def here(server: RunningServer) -> Iterator[penult.Client]:
    """The shared server, with a model, an ensemble and an index."""
    with penult.Client(server.target) as client:
        fill(client, "moving")
        for name, head in (("mover-a", "nearest_centroid"), ("mover-b", "knn")):
            client.models.train_head(name, dataset="moving", head=head).result(timeout=SECONDS)
        client.models.ensemble("movers", models=["mover-a", "mover-b"])
        index = client.indexes.create("moving")
        index.add(PICTURES, ids=[f"p{n}" for n in range(12)], metadata=[{"n": n} for n in range(12)])
        yield client
        client.indexes.delete("moving")
        for name in ("movers", "mover-a", "mover-b"):
            client.models.delete(name)
        client.datasets.delete("moving")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data_dir = tmp_path_factory.mktemp("elsewhere") / "data"
    with running_server(data_dir, "--no-allow-download", "--max-model-mb", "4") as running:
        yield running


@pytest.fixture
def there(elsewhere: RunningServer) -> Iterator[penult.Client]:
    """Another server."""
    with penult.Client(elsewhere.target) as client:
        yield client


def answers(client: penult.Client, name: str) -> list[tuple[str, float]]:
    return [(p.label, p.probability) for p in client.models.predict(name, PICTURES)]


def test_a_model_answers_there_as_it_did_here(
    here: penult.Client, there: penult.Client, tmp_path: Path
) -> None:
    assert here.models.archive("mover-b", tmp_path / "b.zip") == (tmp_path / "b.zip").stat().st_size
    moved = there.models.import_archive("moved", tmp_path / "b.zip")
    original = here.models.get("mover-b")
    assert (moved.reference, moved.labels, moved.evidence) == ("moved@1", original.labels, original.evidence)
    assert moved.lineage == original.lineage
    assert answers(there, "moved") == answers(here, "mover-b")
    assert there.models.import_archive("moved", tmp_path / "b.zip").version == 2


def test_an_ensemble_comes_with_its_members(
    here: penult.Client, there: penult.Client, tmp_path: Path
) -> None:
    here.models.archive("movers", tmp_path / "e.zip")
    moved = there.models.import_archive("both", tmp_path / "e.zip")
    assert moved.members == ("both.m1@1", "both.m2@1")
    assert answers(there, "both") == answers(here, "movers")
    with pytest.raises(penult.FailedPrecondition):
        there.models.delete("both.m1")
    assert (
        there.models.delete("both") == there.models.delete("both.m1") == there.models.delete("both.m2") == 1
    )


@long_only
def test_a_fine_tuned_model_brings_its_backbone_and_a_head_on_it(
    here: penult.Client, there: penult.Client, tmp_path: Path
) -> None:
    fill_stripes(here, "moving-stripes")
    try:
        here.models.finetune("tuner", dataset="moving-stripes", **QUICK).result(timeout=SECONDS)
        head = here.models.train_head(
            "tuner-head", dataset="moving-stripes", head="nearest_centroid", backbone="models/tuner"
        )
        head.result(timeout=SECONDS)
        here.models.ensemble("tuners", models=["tuner", "tuner-head"])
        here.models.archive("tuners", tmp_path / "t.zip")
        moved = there.models.import_archive("stripes", tmp_path / "t.zip")
        assert moved.members == ("stripes.m1@1", "stripes.m2@1")
        tuned, on_top = there.models.get("stripes.m1"), there.models.get("stripes.m2")
        assert (tuned.kind, tuned.backbone) == ("fine_tuned", "models/stripes.m1@1")
        assert (on_top.kind, on_top.backbone) == ("head", "models/stripes.m1@1")
        pictures = [picture(label, 300 + n) for n in range(6) for label in (0, 1)]
        for mine, theirs in (("tuner", "stripes.m1"), ("tuner-head", "stripes.m2"), ("tuners", "stripes")):
            near, far = here.models.predict(mine, pictures), there.models.predict(theirs, pictures)
            assert [p.label for p in near] == [p.label for p in far]
            assert np.allclose([p.probability for p in near], [p.probability for p in far], atol=1e-5)
        there.models.delete("stripes")
        with pytest.raises(penult.FailedPrecondition):
            there.models.delete("stripes.m1")  # the head takes its features
        for name in ("stripes.m2", "stripes.m1"):
            there.models.delete(name)
    finally:
        for name in ("tuners", "tuner-head", "tuner"):
            with contextlib.suppress(penult.NotFound):
                here.models.delete(name)
        here.datasets.delete("moving-stripes")


def test_an_index_finds_there_what_it_found_here(
    here: penult.Client, there: penult.Client, tmp_path: Path
) -> None:
    here.indexes.snapshot("moving", tmp_path / "i.zip")
    moved, index = there.indexes.restore("moved", tmp_path / "i.zip"), here.indexes.get("moving")
    assert (moved.item_count, moved.fingerprint) == (12, index.fingerprint)
    for query in PICTURES[:3]:
        found, expected = moved.search(query, k=5), index.search(query, k=5)
        assert [hit.id for hit in found] == [hit.id for hit in expected]
        assert np.allclose([hit.score for hit in found], [hit.score for hit in expected], atol=1e-5)
    assert moved.images("p3") == {"p3": PICTURES[3]}


def test_command_line_and_asyncio(
    here: penult.Client, server: RunningServer, elsewhere: RunningServer, tmp_path: Path
) -> None:
    def run(*arguments: str, target: str) -> Any:
        command = [sys.executable, "-m", "penult.cli", "models", *arguments, "--target", target, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    made = run("archive", "mover-a@1", "--out", str(tmp_path / "a.zip"), target=server.target)
    assert made["bytes"] == (tmp_path / "a.zip").stat().st_size
    assert run("import", "by-hand", str(tmp_path / "a.zip"), target=elsewhere.target)["version"] == 1

    async def both() -> penult.Model:
        async with penult.AsyncClient(server.target) as near, penult.AsyncClient(elsewhere.target) as far:
            await near.models.archive("mover-a", tmp_path / "b.zip")
            return await far.models.import_archive("by-loop", tmp_path / "b.zip")

    assert asyncio.run(both()).labels == here.models.get("mover-a").labels


def rewritten(source: Path, target: Path, **lineage: str) -> Path:
    """The archive with another lineage and right checksums."""
    with zipfile.ZipFile(source) as read:
        members = {name: read.read(name) for name in read.namelist() if name != "SHA256SUMS"}
    card = json.loads(members["model.json"])
    card["versions"][0]["lineage"].update(lineage)
    members["model.json"] = json.dumps(card).encode()
    with zipfile.ZipFile(target, "w") as write:
        for name, data in members.items():
            write.writestr(name, data)
        sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
        write.writestr("SHA256SUMS", "".join(sums))
    return target


def test_what_cannot_be_taken_in_is_told_and_leaves_nothing(
    here: penult.Client, there: penult.Client, elsewhere: RunningServer, tmp_path: Path
) -> None:
    before = {model.name for model in there.models.list()}
    here.models.archive("mover-b", tmp_path / "b.zip")
    data = (tmp_path / "b.zip").read_bytes()

    def refused(kind: type[penult.PenultError], reason: str, path: Path) -> penult.PenultError:
        with pytest.raises(kind) as caught:
            there.models.import_archive("refused", path)
        assert caught.value.reason == reason
        assert "elsewhere" not in str(caught.value), "no path of the server"
        return caught.value

    other = refused(
        penult.FailedPrecondition,
        "FINGERPRINT_MISMATCH",
        rewritten(tmp_path / "b.zip", tmp_path / "f.zip", fingerprint="f" * 64),
    )
    assert "f" * 64 in str(other)
    assert here.backbones.get().fingerprint in str(other)
    refused(
        penult.NotFound,
        "BACKBONE_UNKNOWN",
        rewritten(tmp_path / "b.zip", tmp_path / "n.zip", backbone="no_such_backbone"),
    )
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    refused(penult.InvalidArgument, "ARCHIVE_INVALID", tmp_path / "cut.zip")
    (tmp_path / "large.zip").write_bytes(bytes(5 << 20))
    refused(penult.ResourceExhausted, "ARCHIVE_TOO_LARGE", tmp_path / "large.zip")
    with grpc.insecure_channel(elsewhere.target) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        file = index_pb2.FileHeader(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        header = model_archive_pb2.ImportModelRequest(
            header=model_archive_pb2.ImportModelHeader(name="refused", file=file, request_id="r")
        )
        chunk = model_archive_pb2.ImportModelRequest(chunk=data)
        for messages in ([], [chunk], [header], [header, header], [header, chunk, chunk]):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ImportModel(iter(messages), timeout=60)
            code = caught.value.code()
            assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.DATA_LOSS)
        assert {model.name for model in there.models.list()} == before
        first = stub.ImportModel(iter([header, chunk]), timeout=60)
        again = stub.ImportModel(iter([header, chunk]), timeout=60)
        assert first.version.version == again.version.version == 1, "one request, one version"


@long_only  # tests/unit/store/test_model_archives.py has what a kill leaves
def test_a_server_killed_under_imports_has_whole_models_and_no_halves(
    here: penult.Client, tmp_path: Path
) -> None:
    here.models.archive("movers", tmp_path / "e.zip")
    data_dir, acknowledged = tmp_path / "data", 0
    for _ in range(4):
        with running_server(data_dir, ready=False) as server, penult.Client(server.target) as client:
            some = threading.Event()

            def import_all(client: penult.Client = client, some: threading.Event = some) -> None:
                nonlocal acknowledged
                try:
                    while True:
                        client.models.import_archive("e", tmp_path / "e.zip")
                        acknowledged += 1
                        if acknowledged % 3 == 0:
                            some.set()
                except penult.PenultError:
                    return

            importing = threading.Thread(target=import_all)
            importing.start()
            assert some.wait(SECONDS)
            server.process.send_signal(signal.SIGKILL)
            importing.join()
    with running_server(data_dir) as server, penult.Client(server.target) as client:
        versions = client.models.versions("e")
        assert len(versions) in range(acknowledged, acknowledged + 5)
        assert len(client.models.versions("e.m1")) == len(client.models.versions("e.m2")) == len(versions)
        assert answers(client, "e") == answers(here, "movers")
        named = 2 * len(versions)
        assert len([f for f in (data_dir / "models").iterdir() if f.name.startswith("import-")]) == named
        assert not list((data_dir / "model-archives").iterdir())
