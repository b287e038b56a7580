"""What of a readable archive is taken in, and what is not."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penult_server.core.archive_model import ArchivedVersion, ArchiveModel
from penult_server.core.archives import FileFacts
from penult_server.core.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    PenultError,
    ResourceExhausted,
)
from penult_server.core.models import Lineage, ModelKind, NewVersion

LABELS = ("a", "b")
LINEAGE = Lineage("d", 1, 2, "0" * 64, "net", "good", "knn", {})
HEAD = NewVersion(ModelKind.HEAD, LABELS, False, lineage=LINEAGE)
TUNED = NewVersion(
    ModelKind.FINE_TUNED, LABELS, False, lineage=dataclasses.replace(LINEAGE, backbone="models/t@1")
)
ON_TUNED = NewVersion(
    ModelKind.HEAD, LABELS, False, lineage=dataclasses.replace(LINEAGE, backbone="models/t@1")
)
ENSEMBLE = NewVersion(ModelKind.ENSEMBLE, LABELS, False)


def archived(version: NewVersion, *members: int) -> ArchivedVersion:
    files = None if version.kind is ModelKind.ENSEMBLE else Path("files")
    return ArchivedVersion("there@1", version, members, files)


class Fakes:
    """Everything around the use case. Backbones give features of fingerprint "good" and length 3."""

    def __init__(self, versions: Sequence[ArchivedVersion], classes: tuple[str, ...] = LABELS, dim: int = 3):
        self.versions, self.head = versions, SimpleNamespace(classes=classes, dim=dim)
        self.published: list[Any] = []
        self.discarded = False

    async def facts(self, options: Any) -> Any:
        return SimpleNamespace(fingerprint="good", dim=3)

    def load(self, directory: Path) -> Any:
        return self.head

    def fingerprint(self, directory: Path) -> str:
        return "good"

    def begin(self, size_bytes: int) -> Any:
        return SimpleNamespace(
            write=lambda chunk: None,
            facts=lambda: FileFacts(3, "sum"),
            versions=lambda: self.versions,
            discard=lambda: setattr(self, "discarded", True),
        )

    def taken_in(self, name: str, request_id: str) -> None:
        return None

    def add(self, name: str, source: Path) -> int:
        return 7

    def take_in(self, name: str, make: Any, request_id: str) -> Any:
        self.published = make("artifact")
        return name

    async def run(self, name: str = "new", size: int = 3) -> Any:
        fakes: Any = self
        use_case = ArchiveModel(fakes, fakes, fakes, fakes, fakes, fakes, max_bytes=100)

        async def chunks() -> AsyncIterator[bytes]:
            yield b"abc"

        return await use_case.take_in(name, FileFacts(size, "sum"), "", chunks())


async def refused(kind: type[PenultError], fakes: Fakes, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        await fakes.run(**options)
    assert not fakes.published
    return caught.value.reason


async def test_all_that_a_version_is_made_of_is_taken_in_under_names_of_its_own() -> None:
    fakes = Fakes([archived(TUNED), archived(ON_TUNED, 0), archived(ENSEMBLE, 0, 1)])
    assert await fakes.run() == "new"
    assert [(each.name, each.version.artifact) for each in fakes.published] == [
        ("new.m1", "artifact-0"),
        ("new.m2", "artifact-1"),
        ("new", ""),
    ]
    assert fakes.discarded


@pytest.mark.parametrize(
    "versions",
    [
        [archived(ON_TUNED)],
        [archived(HEAD), archived(HEAD, 0)],
        [archived(HEAD), archived(dataclasses.replace(HEAD, labels=("a", "c"))), archived(ENSEMBLE, 0, 1)],
        [archived(HEAD), archived(HEAD), *(archived(ENSEMBLE, n, n + 1) for n in range(40))],
    ],
)
async def test_what_makes_no_model_is_refused(versions: Sequence[ArchivedVersion]) -> None:
    fakes = Fakes(versions)
    assert await refused(InvalidArgument, fakes) == "ARCHIVE_INVALID"
    assert fakes.discarded


async def test_heads_and_backbones_must_be_what_they_say() -> None:
    assert await refused(InvalidArgument, Fakes([archived(HEAD)], classes=("b", "a"))) == "ARCHIVE_INVALID"
    assert await refused(InvalidArgument, Fakes([archived(HEAD)], dim=4)) == "ARCHIVE_INVALID"
    for version in (HEAD, TUNED):
        assert version.lineage is not None
        other = dataclasses.replace(version, lineage=dataclasses.replace(version.lineage, fingerprint="bad"))
        assert await refused(FailedPrecondition, Fakes([archived(other)])) == "FINGERPRINT_MISMATCH"
    broken = Fakes([archived(HEAD)])
    broken.load = _no_head  # type: ignore[method-assign]
    assert await refused(InvalidArgument, broken) == "ARCHIVE_INVALID"


def _no_head(directory: Path) -> Any:
    raise DataLoss("HEAD_DAMAGED", "no head")


async def test_names_and_sizes_are_looked_at_before_the_bytes() -> None:
    assert await refused(InvalidArgument, Fakes([archived(HEAD)]), name="No Name")
    assert await refused(ResourceExhausted, Fakes([archived(HEAD)]), size=101) == "ARCHIVE_TOO_LARGE"
    assert await refused(DataLoss, Fakes([archived(HEAD)]), size=4) == "UPLOAD_DAMAGED"
    long = Fakes([archived(HEAD), archived(HEAD), archived(ENSEMBLE, 0, 1)])
    assert await refused(InvalidArgument, long, name="a" * 63)
