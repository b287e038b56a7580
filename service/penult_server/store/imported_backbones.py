"""Imported checkpoints: one directory each, written beside its place and then renamed into it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from penult_server.core.archives import FileFacts
from penult_server.core.backbones import ImportRecord
from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import AlreadyExists, DataLoss
from penult_server.core.ports import CheckpointUpload
from penult_server.store.blobs import SPARE_BYTES
from penult_server.store.disk import check_room
from penult_server.store.files import rename_durably, sync_directory, write_durably

RECORD = "backbone.json"


class ImportedBackboneStore:
    """Implements core.ports.ImportedBackbones over a directory."""

    def __init__(self, directory: Path) -> None:
        """Creates the directory and clears away uploads that a crash left behind."""
        self._directory = directory
        self._incoming = directory / ".incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)

    def find(self, name: str) -> ImportRecord | None:
        """See core.ports.ImportedBackbones. Raises DataLoss where the record is damaged."""
        try:
            record = json.loads((self._directory / name / RECORD).read_bytes())
            return ImportRecord(**record)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DataLoss(
                "IMPORT_DAMAGED",
                f"the record of imported backbone {name!r} is damaged",
                hint="import it again",
            ) from error

    def begin(self, size_bytes: int) -> CheckpointUpload:
        """See core.ports.ImportedBackbones."""
        check_room(self._directory, size_bytes + SPARE_BYTES)
        with disk_faults():
            return _Upload(self._directory, Path(tempfile.mkdtemp(dir=self._incoming)))


class _Upload:
    """Implements core.ports.CheckpointUpload."""

    def __init__(self, directory: Path, workspace: Path) -> None:
        self._directory = directory
        self._workspace = workspace
        self._digest = hashlib.sha256()
        self.path = workspace / "weights"
        self._file: BinaryIO | None = open(self.path, "wb")  # noqa: SIM115 - closed by facts or discard

    def write(self, chunk: bytes) -> None:
        assert self._file is not None
        self._digest.update(chunk)
        with disk_faults():
            self._file.write(chunk)

    def facts(self) -> FileFacts:
        with disk_faults():
            self._close()
            self.path = self.path.rename(self._workspace / f"weights{_suffix(self.path)}")
        return FileFacts(self.path.stat().st_size, self._digest.hexdigest())

    def commit(self, record: ImportRecord) -> None:
        with disk_faults():
            write_durably(self._workspace / RECORD, json.dumps(dataclasses.asdict(record), indent=1).encode())
            sync_directory(self._workspace)
            try:
                rename_durably(self._workspace, self._directory / record.name)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise AlreadyExists(
                    "BACKBONE_EXISTS",
                    f"backbone {record.name!r} was imported meanwhile",
                    hint="choose another name",
                ) from error

    def discard(self) -> None:
        self._close()
        shutil.rmtree(self._workspace, ignore_errors=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def _suffix(path: Path) -> str:
    """By content, because a client's file name proves nothing."""
    with open(path, "rb") as file:
        start = file.read(9)
    # safetensors: eight bytes of header length, then a JSON object. All else is torch's to judge.
    return ".safetensors" if start[8:] == b"{" else ".pth"
