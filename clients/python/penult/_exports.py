"""Files of exported models, on their way here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from penult._whole_file import WholeFile
from penult.errors import DataLoss
from penult.model_types import ModelExport
from penult.v1 import model_export_pb2


def model_export(message: model_export_pb2.ModelExport) -> ModelExport:
    """The result of an export without its message."""
    return ModelExport(
        model=message.model,
        version=message.version,
        format=message.format,
        file_name=message.file_name,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
        max_difference=message.max_difference,
    )


class ExportFile(WholeFile):
    """A download, checked at its end."""

    def __init__(self, path: str | os.PathLike[str], export: ModelExport) -> None:
        """`path` is a file, or a folder that gets a file of the export's own name."""
        folder = Path(path).expanduser()
        super().__init__(folder / export.file_name if folder.is_dir() else folder)
        self._sha256 = export.sha256
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._digest.update(chunk)
        self.file.write(chunk)

    def check(self) -> None:
        """See WholeFile."""
        if self._digest.hexdigest() != self._sha256:
            raise DataLoss(
                "the downloaded file is not the one that was exported",
                reason="EXPORT_DAMAGED",
                hint="export it again",
            )
