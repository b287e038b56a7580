"""Models as ZIP files without compression: `model.json` says what is in it, `versions/0/…` are files.

Versions come in an order in which each has all that it is made of before it; the last is the one that was
asked for. Numbers of a format only grow: a reader knows all formats up to its own.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from penult_server.core.archive_model import ArchivedVersion, archive_invalid
from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import InvalidArgument
from penult_server.core.evidence import Evidence, from_json
from penult_server.core.model_ports import Artifacts
from penult_server.core.models import (
    MAX_MEMBERS,
    Lineage,
    ModelKind,
    ModelReference,
    ModelVersion,
    NewVersion,
)
from penult_server.core.own_backbones import made_of
from penult_server.store.artifacts import MANIFEST
from penult_server.store.blobs import SPARE_BYTES
from penult_server.store.disk import check_room
from penult_server.store.zip_files import PackedZip, ReceivedZip, ZipMembers

FORMAT = 1
CARD = "model.json"
_MAX_CARD = 64 << 20
_MAX_VERSIONS = 256
_MAX_LABEL = 1024
_MEMBERS = {
    ModelKind.ENSEMBLE: range(2, MAX_MEMBERS + 1),
    ModelKind.HEAD: range(2),
    ModelKind.FINE_TUNED: range(1),
}
_BLOCK = 1 << 20
# No name in an archive leads anywhere but into its own folder.
_WORD = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
_FILE = re.compile(rf"versions/(0|[1-9][0-9]{{0,2}})/((?:{_WORD}/){{0,4}}{_WORD})")


class ZipModelArchives:
    """Implements core.archive_model.ModelArchives."""

    def __init__(self, artifacts: Artifacts, directory: Path) -> None:
        """Clears `directory`, which must be on the file system of the artifacts."""
        self._artifacts = artifacts
        self._directory = directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def pack(self, versions: Sequence[ModelVersion]) -> PackedZip:
        """See core.archive_model.ModelArchives."""
        check_room(self._directory, sum(v.size_bytes for v in versions) + SPARE_BYTES)
        with disk_faults():
            workspace = Path(tempfile.mkdtemp(dir=self._directory))
        try:
            with disk_faults():
                return self._pack(versions, workspace)
        except BaseException:
            shutil.rmtree(workspace, ignore_errors=True)
            raise

    def begin(self, size_bytes: int) -> ReceivedModelArchive:
        """See core.archive_model.ModelArchives. The bytes are needed three times, from file to model."""
        check_room(self._directory, 3 * size_bytes + SPARE_BYTES)
        with disk_faults():
            return ReceivedModelArchive(Path(tempfile.mkdtemp(dir=self._directory)), archive_invalid)

    def _pack(self, versions: Sequence[ModelVersion], workspace: Path) -> PackedZip:
        # Second names of the files, so that none is lost while the archive is written.
        for place, version in enumerate(versions):
            if version.artifact:
                self._artifacts.link(version.artifact, workspace / str(place))
        with zipfile.ZipFile(workspace / "archive", "w") as archive:
            members = ZipMembers(archive)
            with members.member(CARD) as write:
                write(json.dumps({"format": FORMAT, "versions": _cards(versions)}, indent=1).encode())
            for place in range(len(versions)):
                _pack_files(members, workspace / str(place), f"versions/{place}")
            members.finish()
        return PackedZip(workspace / "archive")


class ReceivedModelArchive(ReceivedZip):
    """Implements core.archive_model.ReceivedModel."""

    def versions(self) -> Sequence[ArchivedVersion]:
        """See core.archive_model.ReceivedModel."""
        with self.distrusted():
            archive = self.opened()
            if archive.getinfo(CARD).file_size > _MAX_CARD:
                raise archive_invalid(f"its {CARD} is too long")
            facts = json.loads(archive.read(CARD))
            if int(facts["format"]) > FORMAT:
                raise InvalidArgument(
                    "ARCHIVE_NEWER",
                    f"the archive has format {int(facts['format'])}, and this server knows {FORMAT}",
                    hint="a newer Penult has written it: import it there, or install that version here",
                )
            self.check_sums(archive)
            self._unpack(archive)
            cards = list(facts["versions"])
            if not 1 <= len(cards) <= _MAX_VERSIONS:
                raise archive_invalid(f"it holds {len(cards)} versions")
            return [self._version(place, card) for place, card in enumerate(cards)]

    def _unpack(self, archive: zipfile.ZipFile) -> None:
        names = [name for name in archive.namelist() if name not in (CARD, "SHA256SUMS")]
        for name in names:
            if not (found := _FILE.fullmatch(name)) or PurePosixPath(name).name == MANIFEST:
                raise archive_invalid("it holds a file of a name that none has")
            target = self.workspace / "versions" / found[1] / found[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(target, "xb") as file:
                shutil.copyfileobj(source, file, _BLOCK)

    def _version(self, place: int, card: Mapping[str, Any]) -> ArchivedVersion:
        labels, members = tuple(card["labels"]), tuple(card["members"])
        if len(set(labels)) != len(labels) or not labels or not all(map(_is_label, labels)):
            raise archive_invalid("its labels are none")
        if not all(isinstance(member, int) and 0 <= member < place for member in members):
            raise archive_invalid("its members are none")
        threshold, lineage = card["threshold"], card["lineage"]
        new = NewVersion(
            kind=ModelKind(card["kind"]),
            labels=labels,
            multi_label=card["multi_label"] is True,
            threshold=None if threshold is None else float(threshold),
            lineage=None if lineage is None else _lineage(lineage),
            evidence=None if card["evidence"] is None else from_json(Evidence, card["evidence"]),
        )
        files = self.workspace / "versions" / str(place)
        made_of_files = new.kind is not ModelKind.ENSEMBLE
        if (
            made_of_files != files.is_dir()
            or made_of_files != (lineage is not None)
            or len(members) not in _MEMBERS[new.kind]
            or len(set(members)) < len(members)
        ):
            raise archive_invalid(f"version {place} of it is none of kind {new.kind.value}")
        return ArchivedVersion(
            str(ModelReference.parse(card["reference"])), new, members, files if made_of_files else None
        )


def _cards(versions: Sequence[ModelVersion]) -> list[dict[str, Any]]:
    places = {version.reference: place for place, version in enumerate(versions)}
    return [
        {
            "reference": version.reference,
            "kind": version.kind.value,
            "labels": version.labels,
            "multi_label": version.multi_label,
            "threshold": version.threshold,
            "lineage": None if version.lineage is None else dataclasses.asdict(version.lineage),
            "evidence": None if version.evidence is None else dataclasses.asdict(version.evidence),
            "members": [places[str(part)] for part in made_of(version)],
        }
        for version in versions
    ]


def _pack_files(members: ZipMembers, folder: Path, prefix: str) -> None:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != MANIFEST:
            with (
                members.member(f"{prefix}/{file.relative_to(folder).as_posix()}") as write,
                open(file, "rb") as source,
            ):
                while block := source.read(_BLOCK):
                    write(block)


def _lineage(values: Mapping[str, Any]) -> Lineage:
    found = Lineage(**values)
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        kind = {"int": int, "str": str}.get(str(field.type), Mapping)
        if not isinstance(value, kind) or (
            isinstance(value, str) and not (value.isprintable() and len(value) < 1000)
        ):
            raise ValueError(field.name)
    return found


def _is_label(label: object) -> bool:
    return isinstance(label, str) and label.isprintable() and 0 < len(label.encode()) <= _MAX_LABEL
