"""Files of model versions: one directory each, with a manifest of their sha256.

A directory appears under its name when all its bytes are on disk, and never changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import DataLoss
from penult_server.core.model_ports import ArtifactFile
from penult_server.store.files import rename_durably, sync_directory, sync_file, write_durably

MANIFEST = "manifest.json"
_BLOCK = 1 << 20


class ArtifactStore:
    """Implements core.model_ports.Artifacts over a directory. One thread at a time may write."""

    def __init__(self, directory: Path) -> None:
        """Creates the directory and clears away what a crash left half-written."""
        self._directory = directory
        self._incoming = directory / ".incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)

    def add(self, name: str, source: Path) -> int:
        """See core.model_ports.Artifacts."""
        with disk_faults():
            workspace = Path(tempfile.mkdtemp(dir=self._incoming))
            try:
                files: dict[str, Any] = {}
                for file in sorted(source.rglob("*")):
                    if file.is_file():
                        files[file.relative_to(source).as_posix()] = _copy(
                            file, workspace / file.relative_to(source)
                        )
                write_durably(workspace / MANIFEST, json.dumps(files, indent=1).encode())
                for folder, _, _ in os.walk(workspace):
                    sync_directory(Path(folder))
                self.remove(name)
                rename_durably(workspace, self._directory / name)
            except BaseException:
                shutil.rmtree(workspace, ignore_errors=True)
                raise
        return sum(file["bytes"] for file in files.values())

    def path(self, name: str) -> Path:
        """See core.model_ports.Artifacts."""
        return self._directory / name

    def files(self, name: str) -> Mapping[str, ArtifactFile]:
        """See core.model_ports.Artifacts."""
        try:
            manifest = json.loads((self.path(name) / MANIFEST).read_bytes())
            found = {file: ArtifactFile(facts["bytes"], facts["sha256"]) for file, facts in manifest.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged() from error
        if not found:
            raise _damaged()
        return found

    def open(self, name: str) -> Path:
        """See core.model_ports.Artifacts."""
        path = self.path(name)
        try:
            intact = all(_sha256(path / file) == facts.sha256 for file, facts in self.files(name).items())
        except OSError as error:
            raise _damaged() from error
        if not intact:
            raise _damaged()
        return path

    def link(self, name: str, target: Path) -> None:
        """See core.model_ports.Artifacts. Both must be on one file system."""
        with disk_faults():
            shutil.copytree(self.open(name), target, copy_function=os.link)

    def remove(self, name: str) -> None:
        """Removes files, if there are any. A crash may bring some back, until `sweep` finds them."""
        if name:
            shutil.rmtree(self._directory / name, ignore_errors=True)

    def remove_all(self, start: str) -> None:
        """Removes all whose name starts so."""
        for entry in os.listdir(self._directory):
            if entry.startswith(start):
                self.remove(entry)

    def sweep(self, wanted: set[str]) -> None:
        """Removes all but those named."""
        for entry in os.listdir(self._directory):
            if entry not in wanted and entry != self._incoming.name:
                self.remove(entry)


def _damaged() -> DataLoss:
    return DataLoss(
        "MODEL_DAMAGED",
        "the stored files of this model version are missing or damaged",
        hint="restore the data directory from a backup, or delete this version and train again",
    )


def _copy(source: Path, target: Path) -> dict[str, Any]:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    sync_file(target)
    return {"sha256": _sha256(target), "bytes": target.stat().st_size}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
