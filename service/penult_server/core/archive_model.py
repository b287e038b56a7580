"""Use cases: a model version as one file with all that it is made of, and new versions out of such a file."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from penult_server.core.archives import FileFacts, PackedFile, ReceivedFile, receive, sent
from penult_server.core.classifier import check_fingerprint
from penult_server.core.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from penult_server.core.extract import ExtractFeatures
from penult_server.core.features import FeatureOptions
from penult_server.core.finetune_ports import Fingerprints
from penult_server.core.manage_models import MAX_LEAVES
from penult_server.core.model_ports import Artifacts, ModelStore, TakenVersion
from penult_server.core.models import ModelKind, ModelReference, ModelVersion, NewVersion
from penult_server.core.names import check_name
from penult_server.core.own_backbones import made_of, model_of


@dataclasses.dataclass(frozen=True, slots=True)
class ArchivedVersion:
    """A version in an archive.

    Attributes:
        reference: NAME@VERSION where it comes from.
        version: as it is to be, but for its members and the name of its files.
        members: which of the archive an ensemble is made of, or whose own backbone a head takes the features
            of, by place; all before it.
        files: folder of its files; None for a version without any.
    """

    reference: str
    version: NewVersion
    members: tuple[int, ...]
    files: Path | None


class ReceivedModel(ReceivedFile, Protocol):
    """An archive that is being received. Blocking."""

    def versions(self) -> Sequence[ArchivedVersion]:
        """What it holds, the one that was asked for last.

        Raises InvalidArgument ARCHIVE_INVALID for what is no whole archive, ARCHIVE_NEWER for one that only a
        newer Penult reads.
        """
        ...


class ReadHead(Protocol):
    """A head in memory."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels, in the order of its answers."""
        ...

    @property
    def dim(self) -> int:
        """Length of a feature."""
        ...


class HeadFiles(Protocol):
    """The way from files to a head."""

    def load(self, directory: Path) -> ReadHead:
        """Reads a head's files. Blocking. Raises DataLoss where they are no head."""
        ...


class ModelArchives(Protocol):
    """Models as files. Blocking."""

    def pack(self, versions: Sequence[ModelVersion]) -> PackedFile:
        """Versions with their evidence, each after those that it is made of.

        Raises DataLoss where their files are damaged, ResourceExhausted where the disk is full.
        """
        ...

    def begin(self, size_bytes: int) -> ReceivedModel:
        """A place for one archive of this size. Raises ResourceExhausted where the disk is full."""
        ...


class ArchiveModel:
    """See the module's first line."""

    def __init__(
        self,
        models: ModelStore,
        artifacts: Artifacts,
        heads: HeadFiles,
        fingerprints: Fingerprints,
        extract: ExtractFeatures,
        archives: ModelArchives,
        *,
        max_bytes: int,
    ) -> None:
        """`archives` writes and reads the files; none over `max_bytes` is taken in."""
        self._models = models
        self._artifacts = artifacts
        self._heads = heads
        self._fingerprints = fingerprints
        self._extract = extract
        self._archives = archives
        self._max_bytes = max_bytes

    async def archive(self, reference: ModelReference) -> AsyncGenerator[FileFacts | bytes, None]:
        """The facts of the file, then its bytes. Raises NotFound, DataLoss, ResourceExhausted."""
        version = await asyncio.to_thread(self._models.resolve, reference, evidence=True)
        versions = await asyncio.to_thread(self._with_members, version)
        async for part in sent(lambda: self._archives.pack(versions)):
            yield part

    async def take_in(
        self, name: str, facts: FileFacts, request_id: str, chunks: AsyncIterator[bytes]
    ) -> ModelVersion:
        """A new version of the model `name`, new or not; it appears whole or not at all.

        What it is made of becomes versions of NAME.m1, NAME.m2 and so on.

        Raises:
            InvalidArgument: a bad name, or a file that is no archive.
            FailedPrecondition: this server's backbone gives other features.
            NotFound: it does not know the backbone.
            DataLoss: the bytes are not those that were announced.
            ResourceExhausted: the file is too large, or the disk is full.
        """
        check_name(name, "header.name")
        if facts.size_bytes > self._max_bytes:
            raise ResourceExhausted(
                "ARCHIVE_TOO_LARGE",
                f"{facts.size_bytes} bytes announced; at most {self._max_bytes} are taken",
                hint="raise max_model_mb in the server's settings",
            )
        if request_id and (done := await asyncio.to_thread(self._models.taken_in, name, request_id)):
            return done
        received = await asyncio.to_thread(self._archives.begin, facts.size_bytes)
        try:
            await receive(received, facts, chunks)
            versions = await asyncio.to_thread(received.versions)
            _check_size(versions)
            for archived in versions:
                await self._check(archived, versions)
            names = [f"{name}.m{number}" for number in range(1, len(versions))] + [name]
            for part in names:
                check_name(part, "header.name")
            return await asyncio.to_thread(self._publish, names, versions, request_id)
        finally:
            await asyncio.to_thread(received.discard)

    def _with_members(self, version: ModelVersion) -> list[ModelVersion]:
        """Each version once, after those that it is made of."""
        found: dict[int, ModelVersion] = {}
        for part in made_of(version):
            whole = self._with_members(self._models.resolve(part, evidence=True))
            found |= {each.id: each for each in whole}
        return [*found.values(), version]

    async def _check(self, archived: ArchivedVersion, versions: Sequence[ArchivedVersion]) -> None:
        """That it can be called here, and answers as it did there."""
        new, members = archived.version, [versions[place].version for place in archived.members]
        if new.kind is ModelKind.ENSEMBLE:
            if any((part.labels, part.multi_label) != (new.labels, new.multi_label) for part in members):
                raise archive_invalid(f"the members of {archived.reference} know other classes than it does")
            return
        assert new.lineage is not None
        assert archived.files is not None
        head = await asyncio.to_thread(self._read, archived, archived.files)
        wanted, backbone = new.lineage.fingerprint, new.lineage.backbone
        if new.kind is ModelKind.FINE_TUNED:
            found = await asyncio.to_thread(self._fingerprint, archived, archived.files)
        elif members or model_of(backbone) is not None:
            found = _own_fingerprint(archived, members)
        else:
            facts = await self._extract.facts(FeatureOptions(backbone=backbone))
            found = facts.fingerprint
            if head.dim != facts.dim:
                raise archive_invalid(f"the head of {archived.reference} takes features of another length")
        check_fingerprint(archived.reference, backbone, wanted, found)

    def _read(self, archived: ArchivedVersion, files: Path) -> ReadHead:
        try:
            head = self._heads.load(files)
        except DataLoss as error:
            raise archive_invalid(f"the files of {archived.reference} are those of no head") from error
        if head.classes != archived.version.labels:
            raise archive_invalid(f"the head of {archived.reference} has other classes than it says")
        return head

    def _fingerprint(self, archived: ArchivedVersion, files: Path) -> str:
        try:
            return self._fingerprints.fingerprint(files)
        except (DataLoss, InvalidArgument, NotFound, FailedPrecondition) as error:
            raise archive_invalid(f"the backbone of {archived.reference} is none: {error.message}") from error

    def _publish(
        self, names: Sequence[str], versions: Sequence[ArchivedVersion], request_id: str
    ) -> ModelVersion:
        def make(artifact: str) -> list[TakenVersion]:
            taken = []
            for place, (name, archived) in enumerate(zip(names, versions, strict=True)):
                new = archived.version
                if archived.files is not None:
                    own = f"{artifact}-{place}"
                    size = self._artifacts.add(own, archived.files)
                    new = dataclasses.replace(new, artifact=own, size_bytes=size)
                taken.append(TakenVersion(name, new, archived.members))
            return taken

        return self._models.take_in(names[-1], make, request_id)


def _own_fingerprint(archived: ArchivedVersion, members: Sequence[NewVersion]) -> str:
    """Of the fine-tuned version that a head takes the features of."""
    for member in members:
        if member.kind is ModelKind.FINE_TUNED and member.lineage is not None:
            return member.lineage.fingerprint
    raise archive_invalid(f"the backbone of {archived.reference} is not in it")


def _check_size(versions: Sequence[ArchivedVersion]) -> None:
    """An ensemble of ensembles of ensembles may be small as a file and endless to ask."""
    leaves: list[int] = []
    for archived in versions:
        parts = archived.members if archived.version.kind is ModelKind.ENSEMBLE else ()
        leaves.append(sum(leaves[place] for place in parts) or 1)
        if leaves[-1] > MAX_LEAVES:
            raise archive_invalid(f"{archived.reference} has over {MAX_LEAVES} heads")


def archive_invalid(why: str) -> InvalidArgument:
    """The error for a file that is no archive of a model, or not a whole one."""
    return InvalidArgument(
        "ARCHIVE_INVALID",
        f"the file is no archive of a model: {why}",
        hint="ArchiveModel makes them; this one may be damaged",
    )
