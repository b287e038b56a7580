"""`client.indexes` against a real server."""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import penult
from penult.pages.contact_sheet import write_dataset_duplicates
from tests.pictures import tiny_png

DIM = 8
NUMBERS = itertools.count()


@pytest.fixture
def client(server: Any) -> Iterator[penult.Client]:
    with penult.Client(server.target) as opened:
        yield opened


@pytest.fixture
def name(client: penult.Client) -> Iterator[str]:
    chosen = f"index-{next(NUMBERS)}"
    yield chosen
    for index in client.indexes.list():
        if index.name.startswith(chosen):
            for alias in index.aliases:
                client.indexes.delete_alias(alias)
            client.indexes.delete(index.name)


def vectors(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    values: np.ndarray = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return values


def names(hits: list[penult.Hit]) -> list[str]:
    return [hit.id for hit in hits]


def test_vectors_are_found_by_cosine_with_their_metadata(client: penult.Client, name: str) -> None:
    index = client.indexes.create(name, dim=DIM)
    rows = vectors(300)
    ids = [f"item {n}" for n in range(300)]
    added = index.add_vectors(rows, ids=ids, metadata=[{"n": n, "odd": bool(n % 2)} for n in range(300)])
    assert (added.added, added.errors) == (300, ())
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit[7]
    expected = [ids[n] for n in np.argsort(-cosines)[:5]]
    hits = index.search(vector=rows[7] * 3, k=5)
    assert names(hits) == expected
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert [hit.score for hit in hits] == pytest.approx(sorted(cosines, reverse=True)[:5], abs=1e-5)
    assert hits[0].metadata == {"n": 7, "odd": True}
    assert names(index.search(id="item 7", k=4)) == expected[1:]
    even = index.search(vector=rows[7], k=300, filter="odd = false and n < 100")
    assert len(even) == 50
    assert all(not hit.metadata["odd"] for hit in even)
    many = index.search(vector=rows[:3], k=1, with_vectors=True)
    assert [names(row) for row in many] == [[ids[0]], [ids[1]], [ids[2]]]
    assert np.array_equal(many[1][0].vector, rows[1])
    assert names(index.search(vector=rows[7], k=2, exclude=expected[0])) == expected[1:3]
    near = index.search(vector=rows[7], k=300, min_score=0.5)
    assert len(near) == int((cosines >= 0.5).sum())
    assert index.refresh().item_count == 300
    assert client.indexes.get(name).metric == "cosine"


def test_replaced_and_removed_items_are_found_as_they_are(client: penult.Client, name: str) -> None:
    index = client.indexes.create(name, dim=DIM, metric="l2")
    rows = vectors(20)
    ids = [str(n) for n in range(20)]
    index.add_vectors(rows, ids=ids)
    with pytest.warns(penult.SkippedImages):
        again = index.add_vectors(np.concatenate([rows[:1], rows[5:6] + 1]), ids=["0", "5"])
    assert (again.unchanged, [error.reason for error in again.errors]) == (1, ["ITEM_EXISTS"])
    assert (again.errors[0].index, again.errors[0].name) == (1, "5")
    changed = index.upsert(vectors=rows[5:6] + 1, ids=["5"], metadata={"new": True}, labels="x")
    assert (changed.updated, changed.added) == (1, 0)
    (hit,) = index.search(vector=rows[5] + 1, k=1)
    assert (hit.id, hit.metadata) == ("5", {"new": True, "label": "x"})
    assert hit.score == pytest.approx(0, abs=1e-3)
    assert index.remove(["5", "none"]) == penult.RemoveSummary(1, 1)
    assert "5" not in names(index.search(vector=rows[5] + 1, k=20))
    assert [item.id for item in index.items()] == [i for i in ids if i != "5"]
    assert np.array_equal(index.vectors(["3", "1"]), rows[[3, 1]])
    with pytest.raises(penult.NotFound):
        index.vectors(["3", "5"])
    assert [item.id for item in index.get(["9", "5"])] == ["9"]


def test_images_are_indexed_and_kept(client: penult.Client, name: str, sample_jpegs: list[bytes]) -> None:
    index = client.indexes.create(name)
    assert index.backbone == "tf_efficientnet_lite0"
    with pytest.warns(penult.SkippedImages):
        done = index.add([*sample_jpegs, b"no image"], labels=[*("ab" * 4), None])
    assert (done.added, [(error.index, error.reason) for error in done.errors]) == (
        8,
        [(8, "IMAGE_UNRECOGNISED")],
    )
    assert index.add(sample_jpegs, labels=list("ab" * 4)).unchanged == 8
    digest = hashlib.sha256(sample_jpegs[2]).hexdigest()
    hits = index.search(sample_jpegs[2], k=3)
    assert (hits[0].id, hits[0].metadata) == (digest, {"label": "a"})
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert [names(row)[0] for row in index.search(sample_jpegs, k=1)] == [
        hashlib.sha256(data).hexdigest() for data in sample_jpegs
    ]
    assert index.images(digest) == {digest: sample_jpegs[2]}
    features = client.extract_with_info(sample_jpegs[:2])
    assert names(index.search(vector=features, k=1)[1]) == [hashlib.sha256(sample_jpegs[1]).hexdigest()]
    assert index.search(sample_jpegs[2], k=1, tta="flip")[0].id == digest
    pixels = np.full((20, 30, 3), 200, np.uint8)
    assert index.add(pixels, ids=["grey"]).added == 1
    assert index.images("grey")["grey"].startswith(b"\x89PNG")
    with pytest.raises(penult.ItemFailed, match="IMAGE_UNRECOGNISED"):
        index.search(b"no image")
    many = list(index.search_iter(itertools.islice(itertools.cycle(sample_jpegs), 40), k=2))
    assert [hits[0].id for hits in many[:8]] == [hashlib.sha256(data).hexdigest() for data in sample_jpegs]
    assert index.stats().image_count == 9


def test_vectors_of_other_features_are_refused(
    client: penult.Client, name: str, sample_jpegs: list[bytes]
) -> None:
    index = client.indexes.create(name)
    other = client.extract_with_info(sample_jpegs[:1], tta="flip")
    for wrong in (other, other.features):
        with pytest.raises(penult.FailedPrecondition) as caught:
            index.add_vectors(wrong, ids=["x"])
        assert caught.value.reason == "FINGERPRINT_MISMATCH"
        assert caught.value.metadata["index"] == index.fingerprint
        with pytest.raises(penult.FailedPrecondition):
            index.search(vector=wrong)
    assert index.add_vectors(client.extract_with_info(sample_jpegs[:1]), ids=["x"]).added == 1
    flipped = client.indexes.create(f"{name}-flip", tta="flip", l2=True, dtype="float16")
    assert flipped.add(sample_jpegs[:2], ids=["a", "b"]).added == 2
    assert flipped.search(sample_jpegs[1], k=1)[0].id == "b"
    assert flipped.fingerprint != index.fingerprint


def test_aliases_stand_for_an_index(client: penult.Client, name: str) -> None:
    first, second = (client.indexes.create(f"{name}-{n}", dim=DIM) for n in (1, 2))
    first.add_vectors(vectors(3), ids="abc")
    alias = f"{name}-alias"
    assert client.indexes.set_alias(alias, first.name).aliases == (alias,)
    assert client.indexes.get(alias).item_count == 3
    with pytest.raises(penult.FailedPrecondition):
        client.indexes.delete(first.name)
    client.indexes.set_alias(alias, second.name)
    assert client.indexes.get(alias).name == second.name
    assert client.indexes.get(first.name).aliases == ()
    client.indexes.delete_alias(alias)
    with pytest.raises(penult.NotFound):
        client.indexes.get(alias)
    assert client.indexes.delete(first.name) == 3


def test_lists_and_pages(client: penult.Client, name: str) -> None:
    index = client.indexes.create(name, dim=2)
    count = 1203
    index.add_vectors(
        vectors(count, dim=2), ids=map(str, range(count)), metadata=({"n": n} for n in range(count))
    )
    assert [item.metadata["n"] for item in index.items()] == list(range(count))
    assert sum(1 for _ in index.items("n >= 600")) == 603
    assert name in {found.name for found in client.indexes.list()}
    with pytest.raises(penult.InvalidArgument, match="filter"):
        next(index.items("n >="))


def test_counts_that_do_not_fit_are_told(client: penult.Client, name: str) -> None:
    index = client.indexes.create(name, dim=DIM)
    with pytest.raises(penult.InvalidArgument) as caught:
        index.add_vectors(vectors(3), ids=["a"])
    assert caught.value.reason == "COUNT_MISMATCH"
    with pytest.raises(penult.InvalidArgument):
        index.add([tiny_png(1)], labels=["a", "b"])
    with pytest.raises(penult.FailedPrecondition) as refused:
        index.add([tiny_png(1)])
    assert refused.value.reason == "INDEX_TAKES_VECTORS"
    with pytest.raises(penult.NotFound):
        client.indexes.get(f"{name}-none")


def test_a_snapshot_restores_to_the_same(
    client: penult.Client, name: str, sample_jpegs: list[bytes], tmp_path: Path
) -> None:
    index = client.indexes.create(name, metric="l2")
    index.add(sample_jpegs, ids=list("abcdefgh"), metadata=[{"n": n, "größe": "L"} for n in range(8)])
    index.remove("b")
    assert client.indexes.snapshot(name, tmp_path / "a.zip") == (tmp_path / "a.zip").stat().st_size
    index.remove("a")
    restored = client.indexes.restore(f"{name}-again", tmp_path / "a.zip")
    assert (restored.item_count, restored.fingerprint) == (7, index.fingerprint)
    assert [item.id for item in restored.items()] == list("acdefgh")
    assert np.array_equal(restored.vectors(["c", "d"]), index.vectors(["c", "d"]))
    assert restored.images("c") == {"c": sample_jpegs[2]}
    assert restored.search(sample_jpegs[0], k=1)[0].metadata == {"n": 0, "größe": "L"}
    client.indexes.snapshot(name, tmp_path / "b.zip", images=False)
    bare = client.indexes.restore(f"{name}-bare", tmp_path / "b.zip")
    assert (bare.keeps_images, bare.images("c"), bare.item_count) == (False, {}, 6)
    with pytest.raises(penult.AlreadyExists):
        client.indexes.restore(f"{name}-bare", tmp_path / "b.zip")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for place in (data.index(b"NUMPY") + 300, data.index(b"format"), data.rindex(sample_jpegs[0][-50:])):
        damaged = bytes(data[:place]) + bytes([data[place] ^ 1]) + bytes(data[place + 1 :])
        (tmp_path / "c.zip").write_bytes(damaged)
        with pytest.raises(penult.InvalidArgument) as caught:
            client.indexes.restore(f"{name}-damaged", tmp_path / "c.zip")
        assert caught.value.reason == "ARCHIVE_INVALID"
    (tmp_path / "c.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(penult.InvalidArgument):
        client.indexes.restore(f"{name}-damaged", tmp_path / "c.zip")
    with pytest.raises(penult.NotFound):
        client.indexes.get(f"{name}-damaged")


def test_a_dataset_becomes_items_with_labels(
    client: penult.Client, name: str, sample_jpegs: list[bytes]
) -> None:
    splits: list[Any] = ["train"] * 6 + ["test"] * 2
    client.datasets.create(name)
    client.datasets.add(
        name, sample_jpegs, list("ab" * 4), split=splits,
        ids=["1", "2", "3", "same", "same", "6", "7", "8"], metadata={"from": "here"},
    )  # fmt: skip
    try:
        index = client.indexes.create(name)
        done = index.add_dataset(name, split="train").result(timeout=120)
        assert (done.name, done.item_count, done.metric) == (name, 6, "cosine")
        assert {item.id for item in index.items()} == {
            "1", "2", "3", "6", *(hashlib.sha256(sample_jpegs[n]).hexdigest() for n in (3, 4)),
        }  # fmt: skip
        assert index.add_dataset(name).result(timeout=120).item_count == 8
        (hit,) = index.search(sample_jpegs[1], k=1)
        assert hit.metadata == {"from": "here", "label": "b", "split": "train", "dataset": name}
        found = index.evaluate(k=3)
        assert (found.queries, found.labelled_queries, found.recall) == (8, 8, 1.0)
        assert 0 < found.mean_average_precision <= 1
        assert index.optimize().result(timeout=120).item_count == 8
        with pytest.raises(penult.NotFound):
            index.add_dataset(f"{name}-none")
    finally:
        client.datasets.delete(name)


def test_near_duplicates_are_grouped(client: penult.Client, name: str, sample_jpegs: list[bytes]) -> None:
    index = client.indexes.create(name)
    index.add([sample_jpegs[0], sample_jpegs[0], sample_jpegs[4]], ids=["one", "copy", "other"])
    smaller = Image.open(io.BytesIO(sample_jpegs[4])).resize((300, 200))
    index.add(smaller, ids=["smaller"])
    found = index.near_duplicates(0.9).result(timeout=120)
    assert (found.item_count, found.group_count, found.redundant_count) == (4, 2, 2)
    exact, near = found.groups
    assert (exact.exact, {item.id for item in exact.items}) == (True, {"one", "copy"})
    assert (near.exact, {item.id for item in near.items}) == (False, {"other", "smaller"})
    assert near.items[0].cosine > 0.9
    own = client.indexes.create(f"{name}-own", dim=2, metric="l2")
    own.add_vectors([[1, 0], [5, 0.01], [0, 1]], ids="abc")
    (group,) = own.near_duplicates(0.99).result(timeout=60).groups
    assert {item.id for item in group.items} == {"a", "b"}


def test_near_duplicates_of_a_dataset_are_grouped(
    client: penult.Client, name: str, sample_jpegs: list[bytes], tmp_path: Path
) -> None:
    def png(picture: Image.Image) -> bytes:
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    one, other = (Image.open(io.BytesIO(sample_jpegs[place])) for place in (0, 4))
    images = {
        "one": png(one),
        "again": sample_jpegs[0],
        "other": png(other),
        "small": png(other.resize((300, 200))),
    }
    for image_name, data in images.items():
        (tmp_path / image_name).write_bytes(data)
    client.datasets.create(name)
    try:
        client.datasets.add(name, [tmp_path / each for each in images], labels=["a", "a", "b", "b"])
        found = client.datasets.near_duplicates(name, 0.9).result(timeout=120)
        assert (found.dataset, found.index, found.item_count, found.group_count) == (name, "", 4, 2)
        exact, near = found.groups
        assert (exact.exact, {Path(item.id).name for item in exact.items}) == (True, {"one", "again"})
        assert (near.exact, {Path(item.id).name for item in near.items}) == (False, {"other", "small"})
        assert {item.metadata["label"] for item in near.items} == {"b"}
        assert all(item.has_image for item in near.items)
        files = client.datasets.images(name, [near.items[0].image_sha256, "0" * 64])
        assert list(files.values()) == [images[Path(near.items[0].id).name]]
        write_dataset_duplicates(tmp_path / "page.html", client.datasets, found)
        assert (tmp_path / "page.html").read_text().count("<img") == 4
        with pytest.raises(penult.NotFound):
            client.datasets.near_duplicates(f"{name}-none")
        with pytest.raises(penult.InvalidArgument):
            client.datasets.near_duplicates(name, 1.5)
    finally:
        client.datasets.delete(name)


def test_reembedding_swaps_the_alias(client: penult.Client, name: str, sample_jpegs: list[bytes]) -> None:
    old = client.indexes.create(f"{name}-1")
    old.add(sample_jpegs, ids=list("abcdefgh"), labels="x")
    alias = client.indexes.set_alias(f"{name}-alias", old.name).aliases[0]
    job = client.indexes.get(alias).reembed(f"{name}-2", layer="blocks.2", alias=alias)
    assert job.result(timeout=120).item_count == 8
    new = client.indexes.get(alias)
    assert (new.name, new.item_count) == (f"{name}-2", 8)
    assert (new.fingerprint != old.fingerprint, new.dim != old.dim) == (True, True)
    (hit,) = new.search(sample_jpegs[3], k=1)
    assert (hit.id, hit.metadata) == ("d", {"label": "x"})
    bare = client.indexes.create(f"{name}-bare", keep_images=False)
    with pytest.raises(penult.FailedPrecondition) as caught:
        bare.reembed(f"{name}-3")
    assert caught.value.reason == "IMAGES_NOT_KEPT"
    with pytest.raises(penult.AlreadyExists):
        old.reembed(f"{name}-2")


def test_asyncio_does_the_same(server: Any, name: str, sample_jpegs: list[bytes], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with penult.AsyncClient(server.target) as client:
            index = await client.indexes.create(name)
            assert (await index.add(sample_jpegs, ids=list("abcdefgh"), labels=list("xy" * 4))).added == 8
            assert (await index.upsert(sample_jpegs[:1], ids=["a"], labels="z")).updated == 1
            (hit,) = await index.search(sample_jpegs[0], k=1, filter='label = "z"')
            assert (hit.id, hit.metadata) == ("a", {"label": "z"})
            assert [hits[0].id for hits in await index.search(sample_jpegs, k=1)] == list("abcdefgh")
            assert [hits async for hits in index.search_iter(ids=["a", "b"], k=2)] == [
                await index.search(id="a", k=2),
                await index.search(id="b", k=2),
            ]
            assert [item.id async for item in index.items('label = "x"')] == ["c", "e", "g"]
            assert (await index.vectors("ab"[0])).shape == (1, 1280)
            assert (await index.images(["a"]))["a"] == sample_jpegs[0]
            assert (await index.evaluate(k=2)).recall == 1
            assert (await (await index.near_duplicates(0.999)).result(timeout=60)).group_count == 0
            assert (await (await index.optimize()).result(timeout=60)).item_count == 8
            assert await client.indexes.snapshot(name, tmp_path / "a.zip")
            restored = await client.indexes.restore(f"{name}-2", tmp_path / "a.zip")
            batch = await client.extract_with_info(sample_jpegs[:1])
            assert (await restored.add_vectors(batch, ids=["v"])).added == 1
            assert await restored.remove(["v", "w"]) == penult.RemoveSummary(1, 1)
            assert (await restored.stats()).item_count == 8
            assert (await client.indexes.set_alias(f"{name}-a", name)).aliases == (f"{name}-a",)
            await client.indexes.delete_alias(f"{name}-a")
            assert {found.name for found in await client.indexes.list()} >= {name, f"{name}-2"}
            assert await client.indexes.delete(f"{name}-2") == 8
            with pytest.raises(penult.NotFound):
                await restored.refresh()

    asyncio.run(scenario())
