"""Checkpoints imported over the API: `<name>/weights.safetensors` or `.pth` with `<name>/backbone.json`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.core.errors import DataLoss, PenultError
from penult_server.engine.backbones.local_file import SUFFIXES, LocalFile, read_sidecar
from penult_server.engine.backbones.source import Origin

RECORD = "backbone.json"


class ImportedSource:
    """Reads what the store wrote. A folder without its record is an import that never finished."""

    def __init__(self, directory: Path) -> None:
        """A directory that does not exist is an empty one."""
        self._directory = directory

    def summaries(self) -> Iterable[BackboneSummary]:
        """See Source."""
        return [
            BackboneSummary(name, _architecture_or_nothing(folder), BackboneSource.IMPORTED)
            for name, folder in self._folders().items()
        ]

    def find(self, name: str) -> Origin | None:
        """See Source.

        Raises:
            DataLoss: SIDECAR_DAMAGED or WEIGHTS_DAMAGED, the import is not whole any more.
        """
        folder = self._folders().get(name)
        return _describe(folder).origin(BackboneSource.IMPORTED) if folder is not None else None

    def _folders(self) -> dict[str, Path]:
        return {record.parent.name: record.parent for record in self._directory.glob(f"[!.]*/{RECORD}")}


def _describe(folder: Path) -> LocalFile:
    record = read_sidecar(folder / RECORD)
    path = next((p for s in SUFFIXES if (p := folder / f"weights{s}").is_file()), None)
    if path is None or not {"architecture", "sha256"} <= record.keys():
        raise DataLoss(
            "WEIGHTS_DAMAGED", f"the import {folder.name!r} is not whole any more", hint="import it again"
        )
    return LocalFile(path, record["architecture"], record.get("licence", ""), record["sha256"])


def _architecture_or_nothing(folder: Path) -> str:
    try:
        return _describe(folder).architecture
    except PenultError:  # `find` raises it again, for whoever asks for this one
        return ""
