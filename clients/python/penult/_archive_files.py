"""Archives of indexes and models as files on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from penult._datasets import new_request_id
from penult._sent_file import SentFile
from penult._whole_file import WholeFile
from penult.errors import DataLoss
from penult.v1 import index_pb2 as pb
from penult.v1 import model_archive_pb2


class ArchiveFile(WholeFile):
    """An archive on its way here, checked at its end."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._digest = hashlib.sha256()
        self._header = pb.FileHeader()
        self.size = 0

    def take(self, response: Any) -> None:
        """The next message."""
        if response.WhichOneof("payload") == "header":
            self._header = response.header
            return
        self._digest.update(response.chunk)
        self.size += len(response.chunk)
        self.file.write(response.chunk)

    def check(self) -> None:
        """See WholeFile."""
        if (self.size, self._digest.hexdigest()) != (self._header.size_bytes, self._header.sha256):
            raise DataLoss("the archive arrived damaged", reason="ARCHIVE_DAMAGED", hint="try again")


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveUpload:
    """An archive on its way to a server: its header, and its bytes in messages of 1 MiB."""

    file: SentFile

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> ArchiveUpload:
        """Reads the whole file once for its checksum. Raises InvalidArgument where it cannot be read."""
        return cls(SentFile.of(path))

    @property
    def _facts(self) -> pb.FileHeader:
        return pb.FileHeader(size_bytes=self.file.size_bytes, sha256=self.file.sha256)

    def restored(self, name: str) -> Iterator[pb.RestoreIndexRequest]:
        """The messages that make an index of it; the file is never in memory as a whole."""
        header = pb.RestoreIndexHeader(name=name, file=self._facts, request_id=new_request_id())
        yield pb.RestoreIndexRequest(header=header)
        for block in self.file.blocks():
            yield pb.RestoreIndexRequest(chunk=block)

    def imported(self, name: str) -> Iterator[model_archive_pb2.ImportModelRequest]:
        """The messages that make a version of a model of it."""
        header = model_archive_pb2.ImportModelHeader(name=name, file=self._facts, request_id=new_request_id())
        yield model_archive_pb2.ImportModelRequest(header=header)
        for block in self.file.blocks():
            yield model_archive_pb2.ImportModelRequest(chunk=block)
