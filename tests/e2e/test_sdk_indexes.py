"""`client.indexes` against a real server."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import penult
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
