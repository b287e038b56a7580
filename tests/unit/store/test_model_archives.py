"""Archives of models: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penult_server.core.archive_model import ArchivedVersion
from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument, ResourceExhausted
from penult_server.core.model_ports import TakenVersion
from penult_server.core.models import ModelKind, ModelReference, ModelVersion, NewVersion
from penult_server.core.quotas import Quotas
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.model_archives import CARD, ZipModelArchives
from penult_server.store.models import DatabaseModels
from penult_server.store.zip_files import SUMS
from tests.databases import Place
from tests.evidence import EVIDENCE
from tests.unit.store.test_models import LINEAGE

LABELS = ("boot", "shoe")


class House:
    """Models and archives of one server."""

    def __init__(self, folder: Path, quotas: Quotas | None = None) -> None:
        self.folder = folder
        self.database = Place(folder / "penult.db").open()
        self.artifacts = ArtifactStore(folder / "models")
        self.models = DatabaseModels(self.database, self.artifacts, quotas or Quotas())
        self.archives = ZipModelArchives(self.artifacts, folder / "archives")

    def publish(self, name: str, content: bytes) -> ModelVersion:
        def make() -> NewVersion:
            source = self.folder / f"source-{name}"
            (source / "deep").mkdir(parents=True)
            (source / "head.json").write_bytes(content)
            (source / "deep" / "head.safetensors").write_bytes(content * 3)
            size = self.artifacts.add(name, source)
            return NewVersion(
                ModelKind.HEAD,
                LABELS,
                False,
                0.25,
                LINEAGE,
                evidence=EVIDENCE,
                artifact=name,
                size_bytes=size,
            )

        return self.models.publish(name, f"job {name}", make)

    def ensemble(self, name: str, *members: ModelVersion) -> ModelVersion:
        references = tuple(member.reference for member in members)
        new = NewVersion(ModelKind.ENSEMBLE, LABELS, False, members=references)
        return self.models.ensemble(name, new, [member.id for member in members], "")

    def pack(self, *versions: ModelVersion) -> bytes:
        full = [self.models.resolve(ModelReference.parse(v.reference), evidence=True) for v in versions]
        packed = self.archives.pack(full)
        data = b"".join(packed.chunks())
        assert packed.facts.size_bytes == len(data)
        assert packed.facts.sha256 == hashlib.sha256(data).hexdigest()
        packed.discard()
        return data

    def read(self, data: bytes) -> Sequence[ArchivedVersion]:
        """What is in it, with the bytes of its files instead of their folder."""
        received = self.archives.begin(len(data))
        try:
            received.write(data)
            received.facts()
            return [
                dataclasses.replace(version, files=_contents(version.files))
                for version in received.versions()
            ]
        finally:
            received.discard()
            assert not list((self.folder / "archives").iterdir())


def _contents(folder: Path | None) -> Any:
    if folder is None:
        return None
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def archive(house: House) -> bytes:
    first, second = house.publish("first", b"one"), house.publish("second", b"two")
    return house.pack(first, second, house.ensemble("both", first, second))


def test_what_goes_in_comes_out(house: House, archive: bytes) -> None:
    first, second, both = house.read(archive)
    assert (first.reference, second.reference, both.reference) == ("first@1", "second@1", "both@1")
    assert first.files == {"head.json": b"one", "deep/head.safetensors": b"one" * 3}  # type: ignore[comparison-overlap]
    assert (both.files, both.members, both.version.kind) == (None, (0, 1), ModelKind.ENSEMBLE)
    assert first.version == NewVersion(ModelKind.HEAD, LABELS, False, 0.25, LINEAGE, evidence=EVIDENCE)


def test_a_flipped_byte_anywhere_is_found(house: House, archive: bytes) -> None:
    good = house.read(archive)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(archive) - 1), st.integers(1, 255))
    def flipped(place: int, bits: int) -> None:
        damaged = archive[:place] + bytes([archive[place] ^ bits]) + archive[place + 1 :]
        try:
            found = house.read(damaged)
        except InvalidArgument:
            return
        assert found == good, "the byte said nothing, such as a time"

    flipped()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(house: House, archive: bytes, share: float) -> None:
    with pytest.raises(InvalidArgument) as caught:
        house.read(archive[: int(len(archive) * share)])
    assert caught.value.reason == "ARCHIVE_INVALID"


def rewritten(
    house: House, archive: bytes, change: Callable[[dict[str, bytes]], None], *, compress: bool = False
) -> bytes:
    """The archive with other members, its checksums made right again."""
    path = house.folder / "rewritten.zip"
    path.write_bytes(archive)
    with zipfile.ZipFile(path) as read:
        members = {name: read.read(name) for name in read.namelist() if name != SUMS}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as write:
        for name, data in members.items():
            write.writestr(name, data)
        if SUMS not in members:
            sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
            write.writestr(SUMS, "".join(sums))
    return path.read_bytes()


def card(change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(members: dict[str, bytes]) -> None:
        facts = json.loads(members[CARD])
        change(facts)
        members[CARD] = json.dumps(facts).encode()

    return apply


def set_in(place: int, **values: Any) -> Callable[[dict[str, bytes]], None]:
    return card(lambda facts: facts["versions"][place].update(values))


@pytest.mark.parametrize(
    "change",
    [
        lambda members: members.update({"versions/0/../../../evil": b"x"}),
        lambda members: members.update({"/etc/evil": b"x"}),
        lambda members: members.update({"versions/0/.hidden": b"x"}),
        lambda members: members.update({"versions/0/manifest.json": b"{}"}),
        lambda members: members.update({"versions/0/a\\..\\b": b"x"}),
        lambda members: members.update({"evil": b"x"}),
        lambda members: members.update({"versions/0/head.json/below": b"x"}),
        lambda members: members.update({CARD: b"[" * 100_000}),
        lambda members: members.update({CARD: b'{"format": Infinity, "versions": []}'}),
        lambda members: members.update({SUMS: b""}),
        lambda members: members.pop(CARD),
        lambda members: [members.pop(name) for name in list(members) if name.startswith("versions/1/")],
        lambda members: members.update({"versions/2/head.json": b"an ensemble has no files"}),
        card(lambda facts: facts.pop("format")),
        card(lambda facts: facts.update(format="1; drop")),
        card(lambda facts: facts.update(versions=[])),
        card(lambda facts: facts.update(versions=facts["versions"] * 200)),
        set_in(0, kind="pickle"),
        set_in(0, labels=[]),
        set_in(0, labels=["a", "a"]),
        set_in(0, labels=["a", 7]),
        set_in(0, labels=["a\nb", "c"]),
        set_in(0, lineage=None),
        set_in(0, lineage={**dataclasses.asdict(LINEAGE), "backbone": ["x"]}),
        set_in(0, lineage={**dataclasses.asdict(LINEAGE), "more": "x"}),
        set_in(0, evidence={"x": 1}),
        set_in(0, threshold="high"),
        set_in(0, reference="../x"),
        set_in(2, members=[0, 2]),
        set_in(2, members=[-1, 0]),
        set_in(2, members=["0", "1"]),
        set_in(2, members=[]),
        set_in(2, members=[0, 0]),
        set_in(1, kind="fine_tuned", members=[0]),
    ],
)
def test_what_no_server_has_written_is_refused_and_leaves_nothing(
    house: House, archive: bytes, change: Callable[[dict[str, bytes]], None]
) -> None:
    before = {path for path in house.folder.parent.rglob("*") if "archives" not in path.parts}
    data = rewritten(house, archive, change)
    with pytest.raises(InvalidArgument) as caught:
        house.read(data)
    assert caught.value.reason in ("ARCHIVE_INVALID", "BAD_NAME")
    after = {path for path in house.folder.parent.rglob("*") if "archives" not in path.parts}
    assert {path.name for path in after - before} <= {"rewritten.zip"}


def test_members_that_say_they_are_encrypted_are_refused(house: House, archive: bytes) -> None:
    changed = bytearray(archive)
    changed[changed.rindex(b"PK\x01\x02") + 8] |= 1  # of the directory's last entry: its checksums
    with pytest.raises(InvalidArgument) as caught:
        house.read(bytes(changed))
    assert caught.value.reason == "ARCHIVE_INVALID"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, ResourceExhausted), (errno.EROFS, FailedPrecondition), (errno.EMFILE, OSError)],
)
def test_what_the_disk_cannot_do_is_not_the_archives_fault(
    house: House, archive: bytes, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, "what the kernel says")

    monkeypatch.setattr("penult_server.store.model_archives.shutil.copyfileobj", fail)
    with pytest.raises(kind):
        house.read(archive)


def test_compressed_and_newer_archives_are_told(house: House, archive: bytes) -> None:
    with pytest.raises(InvalidArgument, match="compressed"):
        house.read(rewritten(house, archive, lambda members: None, compress=True))
    with pytest.raises(InvalidArgument) as caught:
        house.read(rewritten(house, archive, card(lambda facts: facts.update(format=2))))
    assert caught.value.reason == "ARCHIVE_NEWER"
    assert house.read(rewritten(house, archive, lambda members: None)) == house.read(archive)


def test_damaged_files_are_not_packed(house: House) -> None:
    version = house.publish("first", b"one")
    (house.folder / "models" / "first" / "head.json").write_bytes(b"two")
    with pytest.raises(DataLoss):
        house.pack(version)
    assert not list((house.folder / "archives").iterdir())


def taken(house: House, names: Sequence[str]) -> Callable[[str], list[TakenVersion]]:
    def make(artifact: str) -> list[TakenVersion]:
        source = house.folder / "taken"
        source.mkdir(exist_ok=True)
        (source / "head.json").write_bytes(b"h")
        heads = []
        for place, name in enumerate(names[:-1]):
            size = house.artifacts.add(f"{artifact}-{place}", source)
            new = NewVersion(
                ModelKind.HEAD,
                LABELS,
                False,
                lineage=LINEAGE,
                artifact=f"{artifact}-{place}",
                size_bytes=size,
            )
            heads.append(TakenVersion(name, new, ()))
        last = NewVersion(ModelKind.ENSEMBLE, LABELS, False)
        return [*heads, TakenVersion(names[-1], last, tuple(range(len(heads))))]

    return make


def test_what_is_taken_in_appears_at_once_and_once(house: House) -> None:
    make = taken(house, ["x.m1", "x.m2", "x"])
    made = house.models.take_in("x", make, "request")
    assert (made.reference, made.members) == ("x@1", ("x.m1@1", "x.m2@1"))
    assert house.models.take_in("x", make, "request") == made
    assert house.models.taken_in("x", "request") == made
    assert [model.name for model in house.models.list("", 10)] == ["x", "x.m1", "x.m2"]
    again = house.models.take_in("x", make, "another")
    assert (again.reference, again.members) == ("x@2", ("x.m1@2", "x.m2@2"))


def test_what_is_refused_leaves_no_files(tmp_path: Path) -> None:
    house = House(tmp_path, Quotas(models=2))
    with pytest.raises(ResourceExhausted):
        house.models.take_in("x", taken(house, ["x.m1", "x.m2", "x"]), "")
    assert house.models.list("", 10) == []
    assert {path.name for path in (tmp_path / "models").iterdir()} == {".incoming"}


def test_what_a_kill_left_is_cleared_at_the_next_start(house: House) -> None:
    def die(artifact: str) -> list[TakenVersion]:
        taken(house, ["x.m1", "x"])(artifact)
        raise KeyboardInterrupt

    house.artifacts.remove_all = lambda start: None  # type: ignore[method-assign]  # a kill clears nothing
    with pytest.raises(KeyboardInterrupt):
        house.models.take_in("x", die, "")
    assert len(list((house.folder / "models").iterdir())) == 2
    house.archives.begin(10).write(b"half")
    house.database.close()
    again = House(house.folder)
    assert again.models.list("", 10) == []
    assert {path.name for path in (house.folder / "models").iterdir()} == {".incoming"}
    assert not list((house.folder / "archives").iterdir())
