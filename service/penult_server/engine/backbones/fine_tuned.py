"""Backbones of fine-tuned models: the files that fine-tuning wrote, under the name of the version."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.core.errors import DataLoss
from penult_server.core.own_backbones import WEIGHTS, OwnBackbone, OwnBackbones
from penult_server.engine.backbones.checkpoint import read_metadata
from penult_server.engine.backbones.local_file import LocalFile, find_architecture
from penult_server.engine.backbones.source import Origin
from penult_server.engine.backbones.trunk import Trunk


class FineTunedSource:
    """Implements Source over what the server, or a job's directory, has of such backbones."""

    def __init__(self, own: OwnBackbones) -> None:
        """`own` finds the files."""
        self._own = own

    def summaries(self) -> Iterable[BackboneSummary]:
        """See Source."""
        return [
            BackboneSummary(own.name, _architecture_name(own), BackboneSource.FINE_TUNED)
            for own in self._own.list()
        ]

    def find(self, name: str) -> Origin | None:
        """See Source. Raises also as OwnBackbones.find, and DataLoss MODEL_DAMAGED."""
        own = self._own.find(name)
        if own is None:
            return None
        architecture, licence = _described(own.directory) if (own.directory / WEIGHTS).is_file() else ("", "")
        if not architecture:
            raise DataLoss(
                "MODEL_DAMAGED",
                f"the weights of {own.name} are missing or damaged",
                hint="restore the data directory from a backup, or delete this version and train again",
            )
        origin = LocalFile(own.directory / WEIGHTS, architecture, licence).origin(BackboneSource.FINE_TUNED)

        def load() -> Trunk:
            own.check()
            return origin.load()

        return dataclasses.replace(origin, load=load, name=own.name, revision=own.revision)


class LinkedBackbones:
    """Implements OwnBackbones over folders, such as those that a job's directory has."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders` by name; their files were checked when they were linked."""
        self._folders = folders

    def find(self, name: str) -> OwnBackbone | None:
        """See OwnBackbones."""
        folder = self._folders.get(name)
        return None if folder is None else OwnBackbone(name, str(folder), folder, lambda: None)

    def list(self) -> Sequence[OwnBackbone]:
        """See OwnBackbones."""
        return [own for name in self._folders if (own := self.find(name)) is not None]


@functools.lru_cache(maxsize=1024)
def _described(directory: Path) -> tuple[str, str]:
    """Architecture and licence. The files of a directory never change, and its name is not used again."""
    metadata = read_metadata(directory / WEIGHTS)
    return metadata.get("architecture", ""), metadata.get("licence", "")


def _architecture_name(own: OwnBackbone) -> str:
    if not (own.directory / WEIGHTS).is_file():  # `find` says so, to whoever asks for this one
        return ""
    architecture = _described(own.directory)[0]
    return find_architecture(architecture).name if architecture else ""
