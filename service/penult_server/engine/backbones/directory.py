"""Checkpoints in a directory of the operator's: `<name>.safetensors` or `<name>.pth`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.core.errors import FailedPrecondition, PenultError
from penult_server.engine.backbones.checkpoint import read_metadata
from penult_server.engine.backbones.local_file import SUFFIXES, LocalFile, guess_architecture, read_sidecar
from penult_server.engine.backbones.source import Origin


class DirectorySource:
    """Looks at the directory anew each time, so that files which come later are seen.

    The architecture is that of `<name>.json` ({"architecture": …, "licence": …}), else of the
    metadata in a safetensors header, else the known name that the file's name starts with.
    """

    def __init__(self, directory: Path) -> None:
        """A directory that does not exist is an empty one."""
        self._directory = directory

    def summaries(self) -> Iterable[BackboneSummary]:
        """See Source. A file whose architecture cannot be told is listed without one."""
        return [
            BackboneSummary(name, _architecture_or_nothing(path), BackboneSource.DIRECTORY)
            for name, path in self._files().items()
        ]

    def find(self, name: str) -> Origin | None:
        """See Source.

        Raises:
            FailedPrecondition: ARCHITECTURE_UNNAMED, nothing says what the tensors are.
            DataLoss: SIDECAR_DAMAGED.
        """
        path = self._files().get(name)
        if path is None:
            return None
        file = _describe(path)
        if not file.architecture:
            raise FailedPrecondition(
                "ARCHITECTURE_UNNAMED",
                f"nothing says which architecture {path.name} is for",
                hint=f'write {path.with_suffix(".json").name} beside it: {{"architecture": "resnet50"}}',
            )
        return file.origin(BackboneSource.DIRECTORY)

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for suffix in reversed(SUFFIXES):
            found.update(
                (path.stem, path) for path in self._directory.glob(f"[!.]*{suffix}") if path.is_file()
            )
        return found


def _describe(path: Path) -> LocalFile:
    given = {**read_metadata(path), **read_sidecar(path.with_suffix(".json"))}
    architecture = given.get("architecture") or guess_architecture(path.stem)
    licence = given.get("licence") or given.get("license") or ""
    return LocalFile(path, str(architecture), str(licence), str(given.get("sha256") or ""))


def _architecture_or_nothing(path: Path) -> str:
    try:
        return _describe(path).architecture
    except PenultError:  # `find` raises it again, for whoever asks for this one
        return ""
