"""Finished exports: one file for each job that made one, the latest of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from penult_server.core.errors import NotFound
from penult_server.store.files import rename_durably, sync_file

_BLOCK = 1 << 20


class ExportStore:
    """Implements core.export_ports.Exports over a directory."""

    def __init__(self, directory: Path, *, keep: int) -> None:
        """`keep`: most files, at least 1."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._keep = keep

    def add(self, job_id: str, file: Path) -> None:
        """See core.export_ports.Exports. Both must be on one file system."""
        target = self._directory / job_id
        if not target.exists():
            sync_file(file)
            rename_durably(file, target)
        # Ids of jobs sort by the time of their making.
        for old in sorted(os.listdir(self._directory))[: -self._keep]:
            with contextlib.suppress(FileNotFoundError):
                (self._directory / old).unlink()

    def read(self, job_id: str) -> Iterator[bytes]:
        """See core.export_ports.Exports."""
        # A name that is no id of a job must lead nowhere else.
        if job_id not in os.listdir(self._directory):
            raise NotFound(
                "EXPORT_GONE", f"there is no file of job {job_id[:80]!r}", hint="export the model again"
            )
        return self._blocks(self._directory / job_id)

    @staticmethod
    def _blocks(file: Path) -> Iterator[bytes]:
        with open(file, "rb") as opened:
            while block := opened.read(_BLOCK):
                yield block
