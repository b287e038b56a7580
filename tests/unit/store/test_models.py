from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from penult_server.core.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PenultError,
    ResourceExhausted,
)
from penult_server.core.features import FeatureOptions
from penult_server.core.index_kinds import IndexSpec
from penult_server.core.indexes import IndexMaker
from penult_server.core.models import Lineage, ModelKind, ModelReference, ModelVersion, NewVersion
from penult_server.core.own_backbones import StoredBackbones
from penult_server.store import index_rows
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.models import DatabaseModels
from tests.databases import Place
from tests.evidence import EVIDENCE

LINEAGE = Lineage(
    "clothing", 7, 120, "d" * 64, "tf_efficientnet_lite0", "f" * 64, "logistic_regression",
    {"C": 0.1, "class_weight": None}, "flip", "0.1", "", "job-1",
)  # fmt: skip
NEW = NewVersion(
    ModelKind.HEAD, ("boot", "shoe"), False, threshold=0.5, lineage=LINEAGE, evidence=EVIDENCE, size_bytes=10
)


class House:
    """A store over real files."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.place = place
        self.open()

    def open(self) -> None:
        self.database = self.place.open()
        self.artifacts = ArtifactStore(self.folder / "models")
        self.store = DatabaseModels(self.database, self.artifacts)

    def reopen(self) -> None:
        self.database.close()
        self.open()

    def publish(self, name: str, job_id: str) -> ModelVersion:
        def make() -> NewVersion:
            source = self.folder / "source"
            source.mkdir(exist_ok=True)
            (source / "head.json").write_text(job_id)
            self.artifacts.add(job_id, source)
            return dataclasses.replace(NEW, artifact=job_id)

        return self.store.publish(name, job_id, make)

    def files(self) -> set[str]:
        return {path.name for path in (self.folder / "models").iterdir()} - {".incoming"}


@pytest.fixture
def house(tmp_path: Path, place: Place) -> Iterator[House]:
    house = House(tmp_path, place)
    yield house
    house.database.close()


def test_versions_are_numbered_and_come_back_whole(house: House) -> None:
    first, second = house.publish("clothes", "job-1"), house.publish("clothes", "job-2")
    assert (first.reference, second.reference) == ("clothes@1", "clothes@2")
    house.reopen()
    store = house.store
    found = store.resolve(ModelReference("clothes", version=1), evidence=True)
    assert found == first
    assert found.evidence == EVIDENCE
    assert found.lineage == LINEAGE
    assert found.metrics["accuracy"] == 0.9
    assert "mean_average_precision" not in found.metrics
    assert store.resolve(ModelReference("clothes")) == dataclasses.replace(second, evidence=None)
    assert [version.version for version in store.versions("clothes", None, 10)] == [2, 1]
    assert [version.version for version in store.versions("clothes", 2, 10)] == [1]
    model = store.get("clothes")
    assert (model.version_count, model.latest.version, model.aliases) == (2, 2, {})
    house.publish("a", "job-3")
    assert [each.name for each in store.list("", 10)] == ["a", "clothes"]
    assert [each.name for each in store.list("a", 10)] == ["clothes"]
    for missing in (
        ModelReference("none"),
        ModelReference("clothes", 3),
        ModelReference("clothes", None, "x"),
    ):
        with pytest.raises(NotFound):
            store.resolve(missing)


def test_a_job_publishes_once_however_often_it_is_asked(house: House) -> None:
    first = house.publish("clothes", "job-1")
    house.reopen()
    assert house.publish("clothes", "job-1") == first
    assert house.store.get("clothes").version_count == 1


def test_two_jobs_for_one_name_get_a_version_each(house: House) -> None:
    versions = [house.publish("clothes", f"job-{n}").version for n in range(5)]
    assert versions == [1, 2, 3, 4, 5]


def test_a_crash_between_files_and_row_shows_nothing_and_repeats(house: House) -> None:
    def crash() -> NewVersion:
        source = house.folder / "source"
        source.mkdir()
        (source / "head.json").write_text("{}")
        house.artifacts.add("job-1", source)
        raise KeyboardInterrupt  # whatever ends the process here

    with pytest.raises(KeyboardInterrupt):
        house.store.publish("clothes", "job-1", crash)
    assert house.store.list("", 10) == []
    house.reopen()
    assert house.files() == set()
    assert house.publish("clothes", "job-1").version == 1
    assert house.files() == {"job-1"}


def publish_many(house: House) -> None:
    for number in range(2, 100):
        house.publish("clothes", f"job-{number}")


def test_a_database_without_room_takes_no_version_and_keeps_no_files(house: House) -> None:
    house.place.only("sqlite")
    house.publish("clothes", "job-1")
    connections = [house.database.read() for _ in range(5)]
    for opened in connections:
        opened.__enter__().exec_driver_sql("PRAGMA max_page_count = 1")
    for opened in connections:
        opened.__exit__(None, None, None)
    with pytest.raises(ResourceExhausted) as caught:
        publish_many(house)
    assert caught.value.reason == "DISK_FULL"
    count = house.store.get("clothes").version_count
    assert house.files() == {f"job-{n}" for n in range(1, count + 1)}


def test_aliases_point_move_and_protect(house: House) -> None:
    house.publish("clothes", "job-1")
    house.publish("clothes", "job-2")
    store = house.store
    assert store.set_alias("clothes", "production", 1, "r-1").aliases == {"production": 1}
    assert store.set_alias("clothes", "staging", None, "").aliases == {"production": 1, "staging": 2}
    assert store.resolve(ModelReference("clothes", alias="production")).version == 1
    assert store.resolve(ModelReference("clothes", version=1)).aliases == ("production",)
    for remove in (lambda: store.delete("clothes", ""), lambda: store.delete_version("clothes", 1, "")):
        with pytest.raises(FailedPrecondition) as caught:
            remove()
        assert (caught.value.reason, "production" in caught.value.message) == ("MODEL_ALIASED", True)
    assert store.set_alias("clothes", "production", 2, "").aliases == {"production": 2, "staging": 2}
    assert store.set_alias("clothes", "production", 1, "r-1").aliases["production"] == 2  # a repeat
    store.delete_version("clothes", 1, "r-2")
    store.delete_version("clothes", 1, "r-2")
    assert house.files() == {"job-2"}
    with pytest.raises(InvalidArgument):
        store.set_alias("clothes", "other", 2, "r-1")
    assert store.delete_alias("clothes", "staging", "").aliases == {"production": 2}
    store.delete_alias("clothes", "production", "")
    with pytest.raises(NotFound):
        store.delete_alias("clothes", "production", "")
    assert store.delete("clothes", "r-3") == 1
    assert store.delete("clothes", "r-3") == 1
    assert house.files() == set()
    with pytest.raises(NotFound):
        store.get("clothes")


def test_a_number_is_not_given_twice_and_a_new_model_is_another_one(house: House) -> None:
    first = house.publish("clothes", "job-1")
    house.publish("clothes", "job-2")
    house.store.delete_version("clothes", 2, "")
    assert house.publish("clothes", "job-3").version == 3
    house.store.delete("clothes", "")
    again = house.publish("clothes", "job-4")
    assert again.version == 1
    assert again.id != first.id
    house.store.delete_version("clothes", 1, "")
    assert house.store.list("", 10) == []


def test_an_ensemble_protects_its_members(house: House) -> None:
    one, two = house.publish("one", "job-1"), house.publish("two", "job-2")
    new = NewVersion(ModelKind.ENSEMBLE, one.labels, False, members=(one.reference, two.reference))
    made = house.store.ensemble("both", new, [one.id, two.id], "r-1")
    assert (made.kind, made.members, made.metrics) == (ModelKind.ENSEMBLE, ("one@1", "two@1"), {})
    assert house.store.ensemble("both", new, [one.id, two.id], "r-1").version == 1
    for remove in (lambda: house.store.delete("one", ""), lambda: house.store.delete_version("two", 1, "")):
        with pytest.raises(FailedPrecondition) as caught:
            remove()
        assert (caught.value.reason, "both@1" in caught.value.message) == ("MODEL_IN_USE", True)
    assert house.store.delete("both", "") == 1
    house.store.delete("one", "")
    with pytest.raises(NotFound):
        house.store.ensemble("both", new, [one.id, two.id], "")
    assert house.store.delete("two", "") == 1


def publish_new(house: House, name: str, job_id: str, new: NewVersion) -> ModelVersion:
    return house.store.publish(name, job_id, lambda: new)


def test_a_fine_tuned_version_has_a_backbone_named_by_its_number(house: House) -> None:
    tuned = dataclasses.replace(NEW, kind=ModelKind.FINE_TUNED, artifact="job-2")
    house.publish("clothes", "job-1")
    made = publish_new(house, "clothes", "job-2", tuned)
    assert made.lineage is not None
    assert (made.kind, made.lineage.backbone) == (ModelKind.FINE_TUNED, "models/clothes@2")
    assert [version.reference for version in house.store.fine_tuned()] == ["clothes@2"]


def test_versions_that_come_together_are_numbered_in_a_row_and_may_be_averaged(house: House) -> None:
    tuned = dataclasses.replace(NEW, kind=ModelKind.FINE_TUNED)
    parts = tuple(dataclasses.replace(tuned, artifact=f"job-1.{n}") for n in range(3))
    best = dataclasses.replace(tuned, artifact="job-1", beside=parts[:1])
    assert publish_new(house, "clothes", "job-1", best).version == 2
    mean = NewVersion(ModelKind.ENSEMBLE, NEW.labels, False, evidence=EVIDENCE, beside=parts, averaged=(0, 2))
    made = publish_new(house, "clothes", "job-2", mean)
    assert (made.version, made.members, made.evidence) == (6, ("clothes@3", "clothes@5"), EVIDENCE)
    assert [v.version for v in house.store.versions("clothes", None, 10)] == [6, 5, 4, 3, 2, 1]
    assert publish_new(house, "clothes", "job-2", mean).version == 6
    house.store.delete_version("clothes", 4, "")
    with pytest.raises(FailedPrecondition):
        house.store.delete_version("clothes", 5, "")
    assert house.store.delete("clothes", "") == 5


def test_what_takes_the_features_of_a_backbone_protects_its_version(house: House) -> None:
    tuned = dataclasses.replace(NEW, kind=ModelKind.FINE_TUNED, artifact="job-1")
    publish_new(house, "trunk", "job-1", tuned)
    lineage = dataclasses.replace(LINEAGE, backbone="models/trunk@1")
    publish_new(house, "head", "job-2", dataclasses.replace(NEW, lineage=lineage))
    spec = IndexSpec(metric="cosine", kind="flat", dim=4)
    maker = IndexMaker(spec, FeatureOptions(backbone="models/trunk@1"), "f" * 64, False, "label")
    with house.database.write() as connection:
        index_rows.insert(connection, "shop", maker)
    for what in ("head@1", "shop"):
        for remove in (
            lambda: house.store.delete("trunk", ""),
            lambda: house.store.delete_version("trunk", 1, ""),
        ):
            with pytest.raises(FailedPrecondition) as caught:
                remove()
            assert (caught.value.reason, what in caught.value.message) == ("MODEL_IN_USE", True)
        if what == "head@1":
            house.store.delete("head", "")
    with house.database.write() as connection:
        index_rows.update(connection, 1, removed=True, name=None)
    assert house.store.delete("trunk", "") == 1
    with pytest.raises(NotFound):
        publish_new(house, "head", "job-3", dataclasses.replace(NEW, lineage=lineage))
    assert [model.name for model in house.store.list("", 10)] == []


def test_backbones_of_versions_are_found_by_every_name_of_a_model(house: House) -> None:
    stored = StoredBackbones(house.store, house.artifacts)
    house.publish("trunk", "job-1")
    publish_new(
        house, "trunk", "job-2", dataclasses.replace(NEW, kind=ModelKind.FINE_TUNED, artifact="job-2")
    )
    house.store.set_alias("trunk", "best", 2, "")
    for name in ("models/trunk", "models/trunk@2", "models/trunk@best"):
        own = stored.find(name)
        assert own is not None
        assert (own.name, own.revision) == ("models/trunk@2", "job-2")
    assert [own.name for own in stored.list()] == ["models/trunk@2"]
    assert stored.find("resnet50") is None
    for name, reason in (
        ("models/trunk@1", "NO_OWN_BACKBONE"),
        ("models/nobody", "MODEL_NOT_FOUND"),
        ("models/X!", "BAD_NAME"),
    ):
        with pytest.raises(PenultError) as caught:
            stored.find(name)
        assert caught.value.reason == reason
