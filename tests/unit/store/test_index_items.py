from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from penult_server.core.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from penult_server.core.features import FeatureOptions, OutputSpec
from penult_server.core.filter_text import parse
from penult_server.core.index_kinds import IndexSpec, SnapshotFacts, StepSpec
from penult_server.core.indexes import AddReceipt, Index, IndexMaker, RemoveItems, RemoveReceipt
from penult_server.core.preprocess import TestTimeAugmentation
from penult_server.store import index_tables
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database, metadata
from penult_server.store.index_items import DatabaseItems
from penult_server.store.indexes import DatabaseIndexes
from tests.databases import Place
from tests.index_items import adding, candidate, maker, vector


@dataclasses.dataclass
class Stores:
    database: Database
    images: Blobs
    items: DatabaseItems
    indexes: DatabaseIndexes


def opened(folder: Path, place: Place) -> Stores:
    database = place.open()
    images = Blobs(folder / "images", spare_bytes=0)
    items = DatabaseItems(database, images)
    return Stores(database, images, items, DatabaseIndexes(database, items, images, folder / "indexes"))


@pytest.fixture
def stores(tmp_path: Path, place: Place) -> Iterator[Stores]:
    made = opened(tmp_path, place)
    yield made
    made.images.close()
    made.database.close()


@pytest.fixture
def index(stores: Stores) -> Index:
    return stores.indexes.create("a", maker(keeps_images=True), "")


def test_migrations_lead_to_the_tables_that_the_code_uses(stores: Stores) -> None:
    tables = (
        index_tables.indexes, index_tables.index_items, index_tables.index_vectors,
        index_tables.index_tombstones, index_tables.index_aliases,
    )  # fmt: skip
    with stores.database.read() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
    assert not [change for change in difference if any(table.name in repr(change) for table in tables)]


def test_an_index_is_kept_as_it_was_made(stores: Stores) -> None:
    options = FeatureOptions(
        "b", OutputSpec("layer", "avg"), TestTimeAugmentation(flip=True, scales=(1.0, 1.2))
    )
    spec = IndexSpec(7, "l2", "hnsw", {"m": 8}, (StepSpec("pca", {"dim": 3}),), 1 << 20)
    made = IndexMaker(spec, options, "f" * 64, keeps_images=True, label_field="class")
    created = stores.indexes.create("b", made, "r")
    assert created.maker == made
    assert stores.indexes.get("b") == created == stores.indexes.create("b", made, "r")
    with pytest.raises(AlreadyExists):
        stores.indexes.create("b", made, "other")
    with pytest.raises(NotFound, match="nothing"):
        stores.indexes.get("nothing")


def test_added_replaced_and_removed(stores: Stores, index: Index) -> None:
    first = adding([candidate(0, "x", 1, '{"n":1}'), candidate(1, "y", 2)])
    (receipt,), (change,) = stores.items.write(index.id, [first])
    assert receipt == AddReceipt(0, 2, 2, 0, 0, [])
    assert change.sequence == 1
    again, none = stores.items.write(index.id, [first])
    assert (again, none) == ([AddReceipt(0, 2, 0, 0, 2, [])], [])
    refused, _ = stores.items.write(index.id, [adding([candidate(0, "x", 3), candidate(1, "z", 4)])])
    assert isinstance(refused[0], AddReceipt)
    assert (refused[0].added, [error.reason for error in refused[0].errors]) == (1, ["ITEM_EXISTS"])
    replaced, changes = stores.items.write(index.id, [adding([candidate(0, "x", 3)], upsert=True)])
    assert replaced == [AddReceipt(0, 1, 0, 1, 0, [])]
    assert changes[0].keys.tolist() == [change.keys[0]]
    found = stores.items.by_ids(index.id, ["x", "y", "none"])
    assert {key: (item.metadata_json, item.sequence) for key, item in found.items()} == {
        "x": ("", 3),
        "y": ("", 1),
    }
    assert np.array_equal(stores.items.vectors([found["x"].key])[found["x"].key], vector(3))
    removed, changes = stores.items.write(index.id, [RemoveItems(["x", "none", "x"])])
    assert removed == [RemoveReceipt(1, 1)]
    assert changes[0].vectors is None
    assert stores.items.by_keys(index.id, [found["x"].key]) == {}
    now = stores.indexes.get("a")
    assert (now.item_count, now.sequence) == (2, 4)


def test_a_request_id_is_one_write_and_a_group_outlives_one_that_is_refused(
    stores: Stores, index: Index
) -> None:
    write = adding([candidate(0, "x", 1)], request_id="r")
    answers, changes = stores.items.write(index.id, [write, write, adding([candidate(0, "y", 1)])])
    assert [answer.added for answer in answers if isinstance(answer, AddReceipt)] == [1, 1, 1]
    assert len(changes) == 2
    answers, changes = stores.items.write(index.id, [RemoveItems(["x"], "r"), RemoveItems(["y"])])
    assert isinstance(answers[0], InvalidArgument)
    assert (answers[1], len(changes)) == (RemoveReceipt(1, 0), 1)
    assert stores.items.receipts(index.id, "r", streamed=False)[0].added == 1


def test_pictures_come_before_their_rows_and_go_with_the_last(stores: Stores, index: Index) -> None:
    other = stores.indexes.create("b", maker(keeps_images=True), "")
    one = candidate(0, "x", 1, image=b"one")
    for index_id in (index.id, other.id):
        stores.items.write(index_id, [adding([one])])
    assert stores.items.image(one.image_sha256) == b"one"
    assert stores.items.image_count(index.id) == 1
    stores.items.write(index.id, [adding([candidate(0, "x", 1, image=b"two")], upsert=True)])
    assert stores.items.image(one.image_sha256) == b"one"
    stores.items.write(other.id, [RemoveItems(["x"])])
    assert stores.items.image(one.image_sha256) is None
    full = Blobs(stores.images.path("ab").parent.parent, spare_bytes=1 << 60)
    stores.items._images = full
    with pytest.raises(ResourceExhausted):
        stores.items.write(other.id, [adding([one])])
    assert stores.indexes.get("b").item_count == 0
    full.close()


def test_changes_give_what_there_is_after_any_number(stores: Stores, index: Index) -> None:
    def replay(after: int, state: dict[int, bytes]) -> dict[int, bytes]:
        state = dict(state)
        last = after
        for change in stores.items.changes(index.id, after):
            if change.vectors is None:
                for key in change.keys.tolist():
                    state.pop(key, None)
            else:
                state |= {k: v.tobytes() for k, v in zip(change.keys.tolist(), change.vectors, strict=True)}
            last = change.sequence
        assert last == stores.indexes.by_id(index.id).sequence
        return state

    states = [(0, replay(0, {}))]
    rng = np.random.default_rng(0)
    for step in range(30):
        ids = [str(n) for n in rng.choice(20, 3, replace=False)]
        writes = [adding([candidate(n, i, step * 9 + n) for n, i in enumerate(ids)], upsert=True)]
        stores.items.write(index.id, writes if step % 3 else [RemoveItems(ids)])
        states.append((stores.indexes.by_id(index.id).sequence, replay(0, {})))
    for sequence, state in states[1:]:
        assert replay(sequence, state) == states[-1][1]


def test_matching_is_brought_up_to_date_from_an_earlier_answer(stores: Stores, index: Index) -> None:
    wanted = parse("n >= 3")

    def write(low: int, high: int, seed: int) -> None:
        items = [candidate(n, str(n), seed + n, f'{{"n":{(n + seed) % 7}}}') for n in range(low, high)]
        stores.items.write(index.id, [adding(items, upsert=True)])

    write(0, 50, 0)
    known = stores.items.matching(index.id, wanted, None)
    assert stores.items.matching(index.id, wanted, known) is known
    write(20, 60, 3)
    stores.items.write(index.id, [RemoveItems([str(n) for n in range(0, 60, 5)])])
    expected = stores.items.matching(index.id, wanted, None)
    quick = stores.items.matching(index.id, wanted, known)
    assert quick.keys.keys.tolist() == expected.keys.keys.tolist()
    assert quick.sequence == expected.sequence == 3
    page = stores.items.page(index.id, wanted, 0, 1000)
    assert [item.key for item in page] == expected.keys.keys.tolist()
    stores.indexes.record_snapshot(index.id, SnapshotFacts(1, "", 3))
    assert stores.items.matching(index.id, wanted, known).keys.keys.tolist() == expected.keys.keys.tolist()


def test_aliases_names_and_deleting(stores: Stores, index: Index) -> None:
    stores.items.write(index.id, [adding([candidate(0, "x", 1, image=b"one")])])
    assert stores.indexes.set_alias("prod", "a", "r").aliases == ("prod",)
    assert stores.indexes.get("prod").id == index.id
    assert stores.indexes.is_alias("prod")
    with pytest.raises(AlreadyExists):
        stores.indexes.create("prod", maker(), "")
    with pytest.raises(AlreadyExists):
        stores.indexes.set_alias("a", "a", "")
    with pytest.raises(FailedPrecondition):
        stores.indexes.delete("a", "")
    with pytest.raises(InvalidArgument):
        stores.indexes.delete("prod", "")
    stores.indexes.delete_alias("prod", "d")
    stores.indexes.delete_alias("prod", "d")
    with pytest.raises(NotFound):
        stores.indexes.delete_alias("prod", "")
    assert stores.indexes.delete("a", "x") == (index.id, 1)
    assert stores.indexes.delete("a", "x") == (0, 1)
    with pytest.raises(NotFound):
        stores.items.write(index.id, [adding([candidate(0, "y", 1)])])
    while stores.indexes.sweep():
        pass
    with stores.database.read() as connection:
        for table in ("indexes", "index_items", "index_vectors", "index_tombstones"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
    assert stores.items.image(candidate(0, "x", 1, image=b"one").image_sha256) is None


def test_what_was_begun_is_published_or_goes(stores: Stores, tmp_path: Path, place: Place) -> None:
    whole, half = stores.indexes.begin(maker()), stores.indexes.begin(maker())
    for begun in (whole, half):
        stores.items.write(begun.id, [adding([candidate(0, "x", 1)])])
    assert stores.indexes.all() == []
    assert stores.indexes.repeated("a", "r") is None
    published = stores.indexes.publish(whole.id, "a", "latest", "r")
    assert (published.name, published.aliases, published.item_count) == ("a", ("latest",), 1)
    assert stores.indexes.repeated("a", "r") == published
    stray = tmp_path / "indexes" / "99-1.snapshot"
    stray.touch()
    again = opened(tmp_path, place)
    assert not stray.exists()
    with pytest.raises(NotFound):
        again.indexes.by_id(half.id)
    assert [found.name for found in again.indexes.all()] == ["a"]
    again.images.close()
    again.database.close()


def test_a_snapshot_makes_older_files_and_tombstones_needless(stores: Stores, index: Index) -> None:
    for number in (1, 2):
        stores.items.write(index.id, [adding([candidate(0, "x", number)], upsert=True)])
        stores.items.write(index.id, [RemoveItems(["x"])])
        stores.indexes.snapshot_path(index.id, number * 2).touch()
        stores.indexes.record_snapshot(index.id, SnapshotFacts(7, "", number * 2))
    now = stores.indexes.get("a")
    assert (now.snapshot_sequence, now.snapshot_bytes) == (4, 7)
    folder = stores.indexes.snapshot_path(index.id, 1).parent
    assert [path.name for path in folder.iterdir()] == [f"{index.id}-4.snapshot"]
    with stores.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM index_tombstones").scalar() == 0
