"""Use case: take a checkpoint over the API and make it a backbone."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator

from penult_server.core.archives import FileFacts, receive
from penult_server.core.backbones import ImportRecord
from penult_server.core.errors import AlreadyExists, InvalidArgument, ResourceExhausted
from penult_server.core.names import check_name
from penult_server.core.ports import BackboneCatalog, ImportedBackbones

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, slots=True)
class ImportBackbone:
    """Receives, verifies, and only then makes visible."""

    catalog: BackboneCatalog
    store: ImportedBackbones
    max_bytes: int

    async def run(self, record: ImportRecord, chunks: AsyncIterator[bytes]) -> str:
        """Imports one checkpoint and returns its name. The same import again changes nothing.

        Raises:
            InvalidArgument: a header field is wrong, or the tensors do not fit the architecture.
            AlreadyExists: the name holds something else.
            DataLoss: the bytes are not those that the header announced.
            ResourceExhausted: too large, or the disk is too full.
        """
        self._check(record)
        existing = await asyncio.to_thread(self.store.find, record.name)
        if existing is not None:
            return self._same_or_refuse(existing, record)
        upload = await asyncio.to_thread(self.store.begin, record.size_bytes)
        try:
            await receive(upload, FileFacts(record.size_bytes, record.sha256), chunks)
            await asyncio.to_thread(self.catalog.check_checkpoint, upload.path, record.architecture)
            await asyncio.to_thread(upload.commit, record)
        finally:
            await asyncio.to_thread(upload.discard)
        return record.name

    def _check(self, record: ImportRecord) -> None:
        check_name(record.name, "header.name")
        if not record.architecture:
            raise InvalidArgument(
                "NO_ARCHITECTURE",
                "the header names no architecture",
                field="header.architecture",
                hint="give the timm or torchvision name whose tensors these are",
            )
        if not _SHA256.fullmatch(record.sha256):
            raise InvalidArgument(
                "BAD_SHA256", "sha256 must be 64 lower-case hex digits", field="header.sha256"
            )
        if record.size_bytes > self.max_bytes:
            raise ResourceExhausted(
                "CHECKPOINT_TOO_LARGE",
                f"{record.size_bytes} bytes announced; at most {self.max_bytes} are taken",
                hint="raise max_checkpoint_mb in the server's settings, or mount a checkpoint directory",
            )

    @staticmethod
    def _same_or_refuse(existing: ImportRecord, wanted: ImportRecord) -> str:
        same_bytes = (existing.sha256, existing.architecture) == (wanted.sha256, wanted.architecture)
        if same_bytes or (wanted.request_id and existing.request_id == wanted.request_id):
            return existing.name
        raise AlreadyExists(
            "BACKBONE_EXISTS",
            f"backbone {wanted.name!r} was imported from another file",
            hint="choose another name",
        )
