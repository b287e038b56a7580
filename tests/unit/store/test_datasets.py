"""The store on real databases and real folders. Images are any bytes here: others decode them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from penult_server.core.datasets import (
    Candidate,
    CheckedImage,
    ExampleChange,
    ExampleFilter,
    NewExample,
    Receipt,
    Split,
    UploadMessage,
)
from penult_server.core.errors import (
    AlreadyExists,
    DataLoss,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from penult_server.core.images import EncodedImage
from penult_server.core.splits import DEFAULT_FRACTIONS, SplitPlan
from penult_server.store.blobs import Blobs
from penult_server.store.datasets import DatasetStore
from tests.databases import Place

ALL = ExampleFilter()


class Disk:
    """A store on a folder, which can be closed and opened again."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.place = place
        self.open()

    def open(self, **options: Any) -> None:
        self.database = self.place.open()
        self.blobs = Blobs(self.folder / "blobs", **options)
        self.store = DatasetStore(self.database, self.blobs)

    def close(self) -> None:
        self.database.close()
        self.blobs.close()

    def files(self) -> set[str]:
        found = (self.folder / "blobs").rglob("*")
        return {path.parent.name + path.name for path in found if path.is_file()}


@pytest.fixture
def disk(tmp_path: Path, place: Place) -> Iterator[Disk]:
    opened = Disk(tmp_path, place)
    yield opened
    opened.close()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def item(index: int, data: bytes, *labels: str, split: Split = Split.UNASSIGNED) -> Candidate:
    new = NewExample(EncodedImage(b"", f"id{index}"), tuple(sorted(labels)), split, '{"n": 1}')
    return Candidate(index, CheckedImage(data, sha(data), 4, 3), new)


def add(disk: Disk, name: str, *items: Candidate, request_id: str = "") -> Receipt:
    message = UploadMessage(items[0].index, len(items), items, [])
    return disk.store.add(disk.store.get(name), request_id, [message])[0]


def shas(disk: Disk, name: str, wanted: ExampleFilter = ALL) -> list[str]:
    return [example.sha256 for _, example in disk.store.examples(name, wanted, 0, 1000)[1]]


def reasons(receipt: Receipt) -> Sequence[tuple[int, str]]:
    return [(error.index, error.reason) for error in receipt.errors]


def test_examples_survive_with_all_that_was_said_of_them(disk: Disk) -> None:
    disk.store.create("a", True, "")
    receipt = add(disk, "a", item(0, b"x", "cat", "dog", split=Split.TEST), item(1, b"y"))
    assert (receipt.added, receipt.unchanged, receipt.errors) == (2, 0, [])
    disk.close()
    disk.open()
    revision, rows = disk.store.examples("a", ALL, 0, 10)
    assert revision == 1
    first, second = (example for _, example in rows)
    assert (first.sha256, first.labels, first.split, first.id) == (
        sha(b"x"),
        ("cat", "dog"),
        Split.TEST,
        "id0",
    )
    assert (first.metadata_json, first.width, first.height, first.size_bytes) == ('{"n": 1}', 4, 3, 1)
    assert (second.labels, second.split) == ((), Split.UNASSIGNED)
    assert disk.blobs.read(sha(b"x")) == b"x"
    dataset = disk.store.get("a")
    assert dataset.counts == {Split.TEST: 1, Split.UNASSIGNED: 1}
    assert [(item.label, item.counts) for item in dataset.classes or ()] == [
        ("cat", {Split.TEST: 1}),
        ("dog", {Split.TEST: 1}),
    ]
    assert dataset.unlabelled == {Split.UNASSIGNED: 1}


def test_same_bytes_add_nothing_and_contradictions_are_told(disk: Disk) -> None:
    disk.store.create("a", False, "")
    add(disk, "a", item(0, b"x", "cat", split=Split.TRAIN))
    receipt = add(
        disk,
        "a",
        item(0, b"x", "cat", split=Split.TRAIN),
        item(1, b"x"),
        item(2, b"x", "cat", split=Split.TEST),
        item(3, b"x", "dog"),
        item(4, b"new", "dog", split=Split.TEST),
        item(5, b"new", "dog", split=Split.TRAIN),
    )
    assert (receipt.added, receipt.unchanged) == (1, 2)
    assert reasons(receipt) == [
        (2, "EXAMPLE_IN_OTHER_SPLIT"),
        (3, "EXAMPLE_HAS_OTHER_LABELS"),
        (5, "EXAMPLE_IN_OTHER_SPLIT"),
    ]
    assert sha(b"x") in receipt.errors[0].message
    assert disk.store.get("a").counts == {Split.TRAIN: 1, Split.TEST: 1}


def test_a_repeated_request_gets_its_first_answer_and_writes_nothing(disk: Disk) -> None:
    store = disk.store
    dataset = store.create("a", False, "create")
    assert store.create("a", False, "create").id == dataset.id
    with pytest.raises(AlreadyExists):
        store.create("a", False, "other")
    first = add(disk, "a", item(0, b"x", "cat"), item(1, b"x", "dog"), request_id="upload")
    disk.close()
    disk.open()
    store = disk.store
    assert store.receipts(dataset, "upload") == {0: first}
    change = [ExampleChange(sha(b"x"), ("dog",)), ExampleChange("0" * 64)]
    summary = store.relabel("a", change, "relabel")
    store.relabel("a", [ExampleChange(sha(b"x"), ("cow",))], "")
    assert store.relabel("a", change, "relabel") == summary
    assert store.examples("a", ALL, 0, 1)[1][0][1].labels == ("cow",)
    plan = SplitPlan(DEFAULT_FRACTIONS)
    assert [store.split("a", plan, "split") for _ in range(2)] == [1, 1]
    assert [store.remove("a", [sha(b"x")], "remove") for _ in range(2)] == [1, 1]
    revision = store.get("a").revision
    assert [store.delete("a", "delete") for _ in range(2)] == [0, 0]
    assert revision == 5
    with pytest.raises(InvalidArgument) as caught:
        store.create("b", False, "delete")
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_relabel_and_move(disk: Disk) -> None:
    disk.store.create("a", False, "")
    add(disk, "a", item(0, b"x", "cat"), item(1, b"y", "cat"))
    summary = disk.store.relabel(
        "a",
        [
            ExampleChange(sha(b"x"), ("dog",), Split.TEST),
            ExampleChange(sha(b"y"), ("cat",)),
            ExampleChange(sha(b"z"), ("cat",)),
            ExampleChange(sha(b"x"), ("cat", "dog")),
            ExampleChange(sha(b"x"), ("\n",)),
        ],
        "",
    )
    assert (summary.changed, summary.unchanged) == (1, 1)
    assert [(error.index, error.reason) for error in summary.errors] == [
        (2, "EXAMPLE_NOT_FOUND"),
        (3, "TOO_MANY_LABELS"),
        (4, "LABEL_INVALID"),
    ]
    assert shas(disk, "a", ExampleFilter(frozenset({Split.TEST}), frozenset({"dog"}))) == [sha(b"x")]
    disk.store.relabel("a", [ExampleChange(sha(b"x"), ())], "")
    assert shas(disk, "a", ExampleFilter(unlabelled=True)) == [sha(b"x")]


def test_pages_by_position_are_complete_whatever_is_removed_between(disk: Disk) -> None:
    disk.store.create("a", False, "")
    data = [bytes([n]) for n in range(50)]
    add(disk, "a", *(item(n, value, "odd" if n % 2 else "even") for n, value in enumerate(data)))
    seen, after = [], 0
    while rows := disk.store.examples("a", ExampleFilter(labels=frozenset({"odd"})), after, 7)[1]:
        seen += [example.sha256 for _, example in rows]
        after = rows[-1][0]
        disk.store.remove("a", [seen[-1]], "")
    assert seen == [sha(value) for value in data[1::2]]


def test_an_image_lasts_as_long_as_a_dataset_holds_it(disk: Disk) -> None:
    for name in ("a", "b"):
        disk.store.create(name, False, "")
        add(disk, name, item(0, b"shared"), item(1, name.encode()))
    assert disk.files() == {sha(b"shared"), sha(b"a"), sha(b"b")}
    assert disk.store.delete("a", "") == 2
    assert disk.files() == {sha(b"shared"), sha(b"b")}
    assert disk.store.remove("b", [sha(b"shared"), sha(b"gone")], "") == 1
    assert disk.files() == {sha(b"b")}
    with pytest.raises(NotFound):
        disk.store.get("a")
    with pytest.raises(DataLoss):
        disk.blobs.read(sha(b"shared"))


def test_upload_into_a_deleted_dataset_leaves_nothing_even_if_the_name_is_used_again(disk: Disk) -> None:
    old = disk.store.create("a", False, "")
    disk.store.delete("a", "")
    disk.store.create("a", False, "")
    with pytest.raises(NotFound):
        disk.store.add(old, "", [UploadMessage(0, 1, [item(0, b"x")], [])])
    assert shas(disk, "a") == []
    assert disk.files() == set()


def test_start_clears_what_a_crash_left(disk: Disk) -> None:
    disk.store.create("a", False, "")
    add(disk, "a", item(0, b"kept"))
    disk.blobs.put({sha(b"no row"): b"no row"})
    (disk.folder / "blobs" / ".incoming" / "half").write_bytes(b"ha")
    disk.close()
    disk.open()
    assert disk.files() == {sha(b"kept")}


def test_a_full_disk_refuses_and_leaves_nothing(disk: Disk) -> None:
    disk.store.create("a", False, "")
    add(disk, "a", item(0, b"before"))
    disk.close()
    disk.open(spare_bytes=1 << 60)
    with pytest.raises(ResourceExhausted) as caught:
        add(disk, "a", item(0, b"more"))
    assert caught.value.reason == "DISK_FULL"
    assert shas(disk, "a") == [sha(b"before")]
    assert disk.files() == {sha(b"before")}
    assert add(disk, "a", item(0, b"before")).unchanged == 1


def test_a_full_database_refuses_and_leaves_nothing(disk: Disk) -> None:
    disk.place.only("sqlite")
    disk.store.create("a", False, "")
    with disk.database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    items = [item(n, str(n).encode(), "x" * 200) for n in range(500)]
    with disk.database._dialect.engine.connect() as connection:  # the pool hands this connection out again
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ResourceExhausted) as caught:
        add(disk, "a", *items)
    assert caught.value.reason == "DISK_FULL"
    assert (shas(disk, "a"), disk.files()) == ([], set())


def test_damaged_bytes_are_never_served(disk: Disk) -> None:
    disk.store.create("a", False, "")
    add(disk, "a", item(0, b"good"))
    disk.blobs.path(sha(b"good")).write_bytes(b"evil")
    with pytest.raises(DataLoss):
        disk.blobs.read(sha(b"good"))
