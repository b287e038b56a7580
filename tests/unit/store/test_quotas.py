"""What the stores take in, and what they refuse once a quota is used up."""

from __future__ import annotations

import contextvars
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penult_server.core.caller import CALLER
from penult_server.core.datasets import Candidate, CheckedImage, NewExample, Split, UploadMessage
from penult_server.core.errors import PenultError, ResourceExhausted
from penult_server.core.images import EncodedImage
from penult_server.core.indexes import AddReceipt, Index, RemoveItems
from penult_server.core.models import ModelKind, NewVersion
from penult_server.core.quotas import Quotas
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.blobs import Blobs
from penult_server.store.datasets import DatasetStore
from penult_server.store.index_items import DatabaseItems
from penult_server.store.indexes import DatabaseIndexes
from penult_server.store.models import DatabaseModels
from penult_server.store.stored_bytes import stored
from tests.databases import Place
from tests.index_items import adding, candidate, maker

QUOTAS = Quotas(datasets=2, indexes=2, index_items=4, models=1, bytes=10_000, bytes_per_key=6_000)


class House:
    """All stores over one database, with these quotas."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.database = place.open()
        self.blobs, self.images = Blobs(folder / "blobs"), Blobs(folder / "images")
        self.datasets = DatasetStore(self.database, self.blobs, QUOTAS)
        self.items = DatabaseItems(self.database, self.images, QUOTAS)
        self.indexes = DatabaseIndexes(self.database, self.items, self.images, folder / "indexes", QUOTAS)
        self.models = DatabaseModels(self.database, ArtifactStore(folder / "models"), QUOTAS)

    def upload(self, name: str, *contents: bytes) -> int:
        items = [
            Candidate(
                number,
                CheckedImage(data, hashlib.sha256(data).hexdigest(), 4, 3),
                NewExample(EncodedImage(b"", ""), (), Split.TRAIN, ""),
            )
            for number, data in enumerate(contents)
        ]
        (receipt,) = self.datasets.add(self.datasets.get(name), "", [UploadMessage(0, len(items), items, [])])
        return receipt.added

    def write(self, index: Index, *writes: Any) -> list[Any]:
        return list(self.items.write(index.id, writes)[0])

    def stored(self, owner: str | None = None) -> int:
        with self.database.read() as connection:
            return stored(connection, owner)


@pytest.fixture
def house(tmp_path: Path, place: Place) -> Iterator[House]:
    made = House(tmp_path, place)
    yield made
    made.blobs.close()
    made.images.close()
    made.database.close()


def refused(work: Any, *arguments: Any) -> str:
    with pytest.raises(ResourceExhausted) as caught:
        work(*arguments)
    assert caught.value.retry_after is None, "waiting does not help"
    assert caught.value.hint
    return caught.value.reason


def by(key: str, work: Any, *arguments: Any) -> Any:
    """As a call with this API key does it."""

    def run() -> Any:
        CALLER.set(key)
        return work(*arguments)

    return contextvars.copy_context().run(run)


def test_numbers_of_datasets_indexes_and_models_are_bounded(house: House) -> None:
    for name in ("a", "b"):
        house.datasets.create(name, False, f"request {name}")
        house.indexes.create(name, maker(), f"index {name}")
    assert refused(house.datasets.create, "c", False, "") == "TOO_MANY_DATASETS"
    assert house.datasets.create("b", False, "request b").name == "b", "a repeat is no new one"
    house.datasets.delete("a", "")
    house.datasets.create("c", False, "")
    assert refused(house.indexes.create, "c", maker(), "") == "TOO_MANY_INDEXES"
    assert refused(house.indexes.begin, maker()) == "TOO_MANY_INDEXES"
    assert house.indexes.create("b", maker(), "index b").name == "b"
    house.indexes.delete("a", "")
    house.indexes.begin(maker())
    new = NewVersion(ModelKind.HEAD, ("x", "y"), False)
    house.models.check_room("first")
    house.models.publish("first", "job", lambda: new)
    house.models.check_room("first")
    assert refused(house.models.check_room, "second") == "TOO_MANY_MODELS"
    house.models.publish("second", "job 2", lambda: new)  # its job was let in
    assert refused(house.models.ensemble, "third", new, [1, 2], "") == "TOO_MANY_MODELS"


def test_items_of_an_index_are_bounded_and_other_writes_go_on(house: House, tmp_path: Path) -> None:
    index = house.indexes.create("a", maker(keeps_images=True), "")
    add = adding([candidate(n, str(n), n) for n in range(4)])
    more = adding([candidate(0, "4", 4, image=b"picture"), candidate(1, "5", 5)])
    answers = house.write(index, add, more, RemoveItems(["0", "1"]))
    assert isinstance(answers[0], AddReceipt)
    assert isinstance(answers[1], PenultError)
    assert answers[1].reason == "INDEX_QUOTA"
    assert not any(path.is_file() for path in (tmp_path / "images").rglob("*")), "nothing is left of it"
    (again,) = house.write(index, more)
    assert again.added == 2
    assert house.indexes.get("a").item_count == 4


def test_bytes_are_counted_as_they_come_and_go(house: House) -> None:
    house.datasets.create("a", False, "")
    assert house.upload("a", b"x" * 1000, b"y" * 500) == 2
    assert house.upload("a", b"x" * 1000) == 0
    assert house.stored() == 1500
    sha256 = hashlib.sha256(b"y" * 500).hexdigest()
    house.datasets.remove("a", [sha256], "")
    assert house.stored() == 1000
    index = house.indexes.create("i", maker(keeps_images=True), "")
    house.write(index, adding([candidate(0, "p", 1, image=b"z" * 700), candidate(1, "q", 2, "{}")]))
    size = house.stored() - 1000
    assert size >= 700 + 2 * 4 * index.spec.dim
    house.write(index, RemoveItems(["p"]))
    assert 0 < house.stored() - 1000 <= size - 700
    new = NewVersion(ModelKind.HEAD, ("x", "y"), False, size_bytes=333)
    before = house.stored()
    house.models.publish("m", "job", lambda: new)
    assert house.stored() - before == 333
    house.datasets.delete("a", "")
    house.indexes.delete("i", "")
    house.models.delete("m", "")
    assert house.stored() == 0


def test_bytes_are_bounded_for_all_and_for_what_one_key_has_made(house: House) -> None:
    by("one", house.datasets.create, "a", False, "")
    by("two", house.datasets.create, "b", False, "")
    assert house.upload("a", b"1" * 5000) == 1
    assert refused(house.upload, "a", b"2" * 1500) == "STORAGE_QUOTA"
    assert house.stored("one") == 5000
    assert house.upload("a", b"3" * 1000) == 1
    assert house.upload("b", b"4" * 3000) == 1
    assert refused(house.upload, "b", b"5" * 1500) == "STORAGE_QUOTA"
    index = by("two", house.indexes.create, "i", maker(keeps_images=True), "")
    (answer,) = house.write(index, adding([candidate(0, "p", 1, image=b"z" * 2000)]))
    assert answer.reason == "STORAGE_QUOTA"
    house.datasets.delete("a", "")
    (answer,) = house.write(index, adding([candidate(0, "p", 1, image=b"z" * 2000)]))
    assert answer.added == 1
    (answer,) = house.write(index, adding([candidate(0, "p", 1, image=b"y" * 10)], upsert=True))
    assert answer.updated == 1
    assert house.stored("two") < 3200


def test_an_index_of_a_version_that_counted_less_is_counted_anew(
    house: House, place: Place, tmp_path: Path
) -> None:
    index = house.indexes.create("i", maker(keeps_images=True), "")
    items = [candidate(0, "p", 1, '{"a": "\u00e4"}', image=b"z" * 700), candidate(1, "q", 2)]
    house.write(index, adding(items))
    kept = house.indexes.create("kept", maker(), "")
    house.write(kept, adding(items[1:]))
    size = house.stored()
    with house.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
        connection.exec_driver_sql(f"UPDATE indexes SET size_bytes = {4 * index.spec.dim}")
    house.database.close()
    again = House(tmp_path, place)
    assert again.stored() == size
    again.write(index, RemoveItems(["p", "q"]))
    again.write(kept, RemoveItems(["q"]))
    assert again.stored() == 0
    again.blobs.close()
    again.images.close()
    again.database.close()
