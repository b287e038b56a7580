"""Use case: the files of a model version, as they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from penult_server.core.errors import FailedPrecondition, NotFound
from penult_server.core.model_ports import ArtifactFile, Artifacts, ModelStore
from penult_server.core.models import ModelReference, ModelVersion

_BLOCK = 1 << 20


class ModelFiles:
    """Lists files, and hands them out."""

    def __init__(self, models: ModelStore, artifacts: Artifacts) -> None:
        """`artifacts` has the files of `models`."""
        self._models = models
        self._artifacts = artifacts

    async def list(self, reference: ModelReference) -> tuple[ModelVersion, Mapping[str, ArtifactFile]]:
        """The version, and its files by name. Raises NotFound, FailedPrecondition NO_FILES, DataLoss."""
        return await asyncio.to_thread(self._list, reference)

    async def read(self, reference: ModelReference, name: str) -> AsyncIterator[bytes]:
        """A file in pieces. Raises as `list` does, and NotFound FILE_NOT_FOUND before the first of them."""
        file = await asyncio.to_thread(self._open, reference, name)
        try:
            while block := await asyncio.to_thread(file.read, _BLOCK):
                yield block
        finally:
            await asyncio.to_thread(file.close)

    def _list(self, reference: ModelReference) -> tuple[ModelVersion, Mapping[str, ArtifactFile]]:
        version = self._models.resolve(reference)
        if not version.artifact:
            raise FailedPrecondition(
                "NO_FILES",
                f"model {version.reference} is an ensemble, which has no files",
                hint=f"its members have: {', '.join(version.members)}",
            )
        return version, self._artifacts.files(version.artifact)

    def _open(self, reference: ModelReference, name: str) -> BinaryIO:
        version, files = self._list(reference)
        if name not in files:  # also what keeps names from leading elsewhere
            raise NotFound(
                "FILE_NOT_FOUND",
                f"model {version.reference} has no file {name[:80]!r}",
                hint=f"it has {', '.join(sorted(files))}",
            )
        return open(self._artifacts.path(version.artifact) / name, "rb")
