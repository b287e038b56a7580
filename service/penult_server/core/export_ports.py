"""The contracts between the export of models in core and what writes and keeps the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class ExportFormats(Protocol):
    """The formats that a model can be exported in."""

    def check(self, name: str) -> None:
        """Raises InvalidArgument FORMAT_UNKNOWN with near names."""
        ...


class Exports(Protocol):
    """Keeps finished exports, the latest of them. Blocking."""

    def add(self, job_id: str, file: Path) -> None:
        """Takes a file over, durably; the oldest of too many goes. Does nothing for a job that has one."""
        ...

    def read(self, job_id: str) -> Iterator[bytes]:
        """The file of a job in pieces. Raises NotFound EXPORT_GONE before the first of them."""
        ...
