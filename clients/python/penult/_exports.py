"""Files of exported models, on their way here."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from penult.errors import DataLoss, InvalidArgument
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


class ExportFile:
    """A download that appears, at the end of a `with` block, whole and checked, or not at all."""

    def __init__(self, path: str | os.PathLike[str], export: ModelExport) -> None:
        """`path` is a file, or a folder that gets a file of the export's own name."""
        path = Path(path).expanduser()
        self.path = path / export.file_name if path.is_dir() else path
        self._temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.part")
        self._sha256 = export.sha256
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._digest.update(chunk)
        self._file.write(chunk)

    def __enter__(self) -> ExportFile:
        try:
            self._file = open(self._temporary, "xb")
        except OSError as error:
            raise InvalidArgument(
                f"cannot write {str(self.path)!r}: {error.strerror}", reason="OUT_UNWRITABLE"
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._file.close()
        if kind is None and self._digest.hexdigest() == self._sha256:
            self._temporary.replace(self.path)
            return
        self._temporary.unlink()
        if kind is None:
            raise DataLoss(
                "the downloaded file is not the one that was exported",
                reason="EXPORT_DAMAGED",
                hint="export it again",
            )
