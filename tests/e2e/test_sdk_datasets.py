"""client.datasets and `penult datasets` against a real server with real photographs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penult
from tests.pictures import tiny_png

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as client:
        yield client


@pytest.fixture
def name(client: penult.Client) -> Iterator[str]:
    """Of a dataset that is the test's own to make."""
    name = f"sdk-{uuid.uuid4().hex[:12]}"
    yield name
    if name in {dataset.name for dataset in client.datasets.list()}:
        client.datasets.delete(name)


@pytest.fixture
def folder(tmp_path: Path, sample_jpegs: list[bytes]) -> Path:
    """photos/{china,flower}/N.jpg, and one file that is no picture."""
    for number, data in enumerate(sample_jpegs):
        path = tmp_path / "photos" / ("china" if number < 4 else "flower") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "photos" / "china" / "bad.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_a_folder_becomes_a_dataset(client: penult.Client, name: str, folder: Path) -> None:
    created = client.datasets.create(name)
    assert (created.name, created.multi_label, created.counts.total) == (name, False, 0)
    with pytest.warns(penult.SkippedImages, match="bad.jpg"):
        summary = client.datasets.add_folder(name, folder)
    assert (summary.added, summary.unchanged) == (8, 0)
    [error] = summary.errors
    assert (Path(error.name).name, error.reason) == ("bad.jpg", "IMAGE_UNRECOGNISED")
    with pytest.warns(penult.SkippedImages):
        assert client.datasets.add_folder(name, folder).unchanged == 8
    dataset = client.datasets.split(name, train=0.5, validation=0.25, test=0.25)
    assert [(item.label, item.counts) for item in dataset.classes] == [
        (label, penult.SplitCounts(train=2, validation=1, test=1)) for label in ("china", "flower")
    ]
    assert client.datasets.get(name) == dataset
    assert dataset.counts.total == 8
    assert dataset in [
        penult.Dataset(
            **{**listed_fields(item), "classes": dataset.classes, "unlabelled": dataset.unlabelled}
        )
        for item in client.datasets.list()
    ]
    tested = list(client.datasets.examples(name, split="test", label="china"))
    assert [example.labels for example in tested] == [("china",)]
    assert tested[0].id.startswith("china/")


def listed_fields(dataset: penult.Dataset) -> dict[str, Any]:
    fields = ("name", "multi_label", "created", "revision", "counts", "size_bytes")
    return {field: getattr(dataset, field) for field in fields}


def test_folders_of_splits(client: penult.Client, name: str, folder: Path, tmp_path: Path) -> None:
    for split, number in (("train", 0), ("val", 1), ("test", 2)):
        path = tmp_path / "set" / split / "china" / f"{number}.jpg"
        path.parent.mkdir(parents=True)
        (folder / "china" / f"{number}.jpg").rename(path)
    client.datasets.create(name)
    assert client.datasets.add_folder(name, tmp_path / "set").added == 3
    assert client.datasets.get(name).counts == penult.SplitCounts(train=1, validation=1, test=1)
    by_id = {example.id: example.split for example in client.datasets.examples(name)}
    assert by_id == {
        "test/china/2.jpg": "test",
        "train/china/0.jpg": "train",
        "val/china/1.jpg": "validation",
    }
    (tmp_path / "set" / "loose.jpg").write_bytes(tiny_png(1))
    with pytest.raises(penult.InvalidArgument, match=r"loose\.jpg"):
        client.datasets.add_folder(name, tmp_path / "set")


def test_every_form_of_image_with_all_that_is_said_of_it(
    client: penult.Client, name: str, folder: Path
) -> None:
    client.datasets.create(name, multi_label=True)
    images: list[Any] = [folder / "china" / "0.jpg", tiny_png(7), np.zeros((5, 6, 3), np.uint8), "gone.jpg"]
    with pytest.warns(penult.SkippedImages, match=r"gone\.jpg"):
        summary = client.datasets.add(
            name,
            iter(images),
            [["b", "a"], "c", None, "d"],
            split=["train", None, "test", "test"],
            metadata=[{"price": 3, "größe": "L"}, None, None, None],
        )
    assert [(error.index, error.reason) for error in summary.errors] == [(3, "FILE_UNREADABLE")]
    first, second, third = client.datasets.examples(name)
    assert (first.labels, first.split, first.id) == (("a", "b"), "train", "0.jpg")
    assert first.metadata == {"price": 3, "größe": "L"}
    assert (second.labels, second.split, second.metadata, second.id) == (("c",), "unassigned", {}, "")
    assert (third.labels, third.split, third.width, third.height) == ((), "test", 6, 5)
    with pytest.raises(penult.InvalidArgument) as caught:
        client.datasets.add(name, images, ["a"])
    assert caught.value.reason == "COUNT_MISMATCH"
    with pytest.raises(penult.InvalidArgument):
        client.datasets.add(name, iter(images[:2]), ["c", "c", "c"])
    with pytest.raises(penult.NotFound):
        client.datasets.add(f"{name}-none", images, "a")


def test_relabel_remove_and_export(client: penult.Client, name: str, tmp_path: Path) -> None:
    client.datasets.create(name)
    client.datasets.add(name, [tiny_png(n) for n in range(40)], "old", ids=[str(n) for n in range(40)])
    examples = list(client.datasets.examples(name))
    assert [example.id for example in examples] == [str(n) for n in range(40)]
    one, two, three = (example.sha256 for example in examples[:3])
    done = client.datasets.relabel(name, {one: "new", two: None, "0" * 64: "x"}, splits={three: "test"})
    assert (done.changed, done.unchanged) == (3, 0)
    assert [(error.index, error.name, error.reason) for error in done.errors] == [
        (2, "0" * 64, "EXAMPLE_NOT_FOUND")
    ]
    assert client.datasets.remove(name, (example.sha256 for example in examples[5:])) == 35
    assert client.datasets.export(name, tmp_path / "m.jsonl") == 5
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text("utf-8").splitlines()]
    assert [(line["labels"], line["split"]) for line in lines] == [
        (["new"], "unassigned"),
        ([], "unassigned"),
        (["old"], "test"),
        (["old"], "unassigned"),
        (["old"], "unassigned"),
    ]
    with pytest.raises(penult.NotFound):
        client.datasets.export(f"{name}-none", tmp_path / "none.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


def test_asyncio_does_the_same(server: Any, name: str, folder: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with penult.AsyncClient(server.target) as client:
            await client.datasets.create(name)
            with pytest.warns(penult.SkippedImages):
                assert (await client.datasets.add_folder(name, folder)).added == 8

            async def more() -> Any:
                for number in range(100):
                    yield tiny_png(number)

            assert (await client.datasets.add(name, more(), "tiny")).added == 100
            done = await client.datasets.split(name)
            assert done == await client.datasets.get(name)
            assert done.counts == penult.SplitCounts(train=86, validation=10, test=12)
            tiny = [example async for example in client.datasets.examples(name, label="tiny")]
            assert len(tiny) == 100
            change = await client.datasets.relabel(name, {tiny[0].sha256: "other"})
            assert change.changed == 1
            assert await client.datasets.remove(name, [tiny[1].sha256]) == 1
            assert await client.datasets.export(name, tmp_path / "m.jsonl") == 107
            assert name in {dataset.name for dataset in await client.datasets.list()}
            assert await client.datasets.delete(name) == 107
            with pytest.raises(penult.NotFound):
                await client.datasets.get(name)

    asyncio.run(scenario())


def test_an_exception_of_the_callers_iterable_ends_the_upload(client: penult.Client, name: str) -> None:
    client.datasets.create(name)

    def images() -> Iterator[bytes]:
        yield from (tiny_png(n) for n in range(64))
        raise KeyError("the caller's own")

    with pytest.raises(KeyError):
        client.datasets.add(name, images(), "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert client.datasets.add(name, [tiny_png(n) for n in range(64)], "a").errors == ()
    assert client.datasets.get(name).counts.total == 64


@pytest.fixture
def run(server: Any, tmp_path: Path) -> Run:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penult.cli", "datasets", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PENULT_TARGET": server.target},
        )

    return run


def test_command_line(run: Run, name: str, folder: Path, tmp_path: Path) -> None:
    assert run("create", name).stdout == "(all)\t0\t0\t0\t0\t0\n"
    added = run("add", name, folder)
    assert added.returncode == 0, added.stderr
    assert "refused" in added.stderr
    assert "bad.jpg" in added.stderr
    assert "8 added, 0 unchanged, 1 refused" in added.stderr
    again = json.loads(run("add", name, folder / "flower", "--label", "flower", "--json").stdout)
    assert again == {"added": 0, "unchanged": 4, "errors": []}
    split = run("split", name, "--train", "0.5", "--validation", "0.25", "--test", "0.25")
    assert split.stdout == "china\t4\t2\t1\t1\t0\nflower\t4\t2\t1\t1\t0\n(all)\t8\t4\t2\t2\t0\n"
    assert run("get", name).stdout == split.stdout
    assert json.loads(run("get", name, "--json").stdout)["counts"]["train"] == 4
    assert [line.split("\t")[:2] for line in run().stdout.splitlines() if line.startswith(name)] == [
        [name, "8"]
    ]
    assert json.loads(run("list", "--json").stdout)
    assert run("export", name, "--out", "m.jsonl").returncode == 0
    assert len((tmp_path / "m.jsonl").read_text("utf-8").splitlines()) == 8
    assert run("add", name, folder / "china" / "bad.jpg", "--label", "x").returncode == 1
    assert json.loads(run("delete", name, "--json").stdout) == {"deleted": 8}
    gone = run("get", name)
    assert gone.returncode == 1
    assert "DATASET_NOT_FOUND" in gone.stderr
