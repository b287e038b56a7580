"""Files of exported models, on their way here."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from penult._whole_file import WholeFile
from penult.errors import DataLoss, InvalidArgument, NotFound
from penult.model_types import ModelExport
from penult.v1 import model_export_pb2
from penult.v1 import model_pb2 as pb


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


class CheckedFile(WholeFile):
    """A download, checked at its end."""

    def __init__(self, path: Path, sha256: str) -> None:
        super().__init__(path)
        self._sha256 = sha256
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._digest.update(chunk)
        self.file.write(chunk)

    def check(self) -> None:
        """See WholeFile."""
        if self._digest.hexdigest() != self._sha256:
            raise DataLoss(
                "the downloaded file is not the one that the server has",
                reason="EXPORT_DAMAGED",
                hint="download it again",
            )


class ExportFile(CheckedFile):
    """The file of an export."""

    def __init__(self, path: str | os.PathLike[str], export: ModelExport) -> None:
        """`path` is a file, or a folder that gets a file of the export's own name."""
        folder = Path(path).expanduser()
        super().__init__(folder / export.file_name if folder.is_dir() else folder, export.sha256)


class ModelFolder:
    """A folder that gets files of a version."""

    def __init__(
        self, path: str | os.PathLike[str], found: pb.ListModelFilesResponse, wanted: Sequence[str] | None
    ) -> None:
        """`wanted` are patterns such as "curves.*"; None for all. Raises NotFound where one fits no file."""
        self.model = found.model
        self.path = Path(path).expanduser()
        patterns = ["*"] if wanted is None else list(wanted)
        names = [file.name for file in found.files]
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                raise NotFound(
                    f"model {found.model} has no file {pattern!r}",
                    reason="FILE_NOT_FOUND",
                    hint=f"it has {', '.join(names)}",
                )
        self._files = [
            file for file in found.files if any(fnmatch.fnmatchcase(file.name, each) for each in patterns)
        ]

    def files(self) -> Iterator[tuple[pb.DownloadModelFileRequest, CheckedFile]]:
        """What to ask for, and where it goes."""
        for file in self._files:
            path = self.path.joinpath(*PurePosixPath(file.name).parts)
            if self.path not in path.parents or ".." in path.parts:
                raise DataLoss(f"the server names a file {file.name!r}", reason="BAD_RESPONSE")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InvalidArgument(
                    f"cannot write into {str(path.parent)!r}: {error.strerror}", reason="OUT_UNWRITABLE"
                ) from error
            wanted = pb.DownloadModelFileRequest(model=self.model, file=file.name)
            yield wanted, CheckedFile(path, file.sha256)
