"""One directory a job: its input, what its worker saves, and what is not yet visible."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from penult_server.core.disk_faults import disk_faults
from penult_server.store.files import sync_directory, sync_file


class JobDirectories:
    """Implements core.job_ports.JobDirectories."""

    def __init__(self, directory: Path) -> None:
        """Creates the directory that holds them."""
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def create(self, job_id: str) -> Path:
        """See core.job_ports.JobDirectories."""
        path = self.path(job_id)
        with disk_faults():
            path.mkdir()
        return path

    def path(self, job_id: str) -> Path:
        """See core.job_ports.JobDirectories."""
        return self._directory / job_id

    def seal(self, job_id: str) -> None:
        """See core.job_ports.JobDirectories."""
        path = self.path(job_id)
        for file in path.iterdir():
            if file.is_file():
                sync_file(file)
        # What lies deeper is linked, and was synced where it came from: only the names are new.
        for folder, _, _ in os.walk(path):
            sync_directory(Path(folder))
        sync_directory(self._directory)

    def remove(self, job_id: str) -> None:
        """See core.job_ports.JobDirectories."""
        shutil.rmtree(self.path(job_id), ignore_errors=True)

    def all_ids(self) -> list[str]:
        """See core.job_ports.JobDirectories."""
        return [entry.name for entry in os.scandir(self._directory)]
