"""The engine of indexes: makes, checks and loads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import MAX_DIM, IndexSpec
from penult_server.engine.indexes import base, snapshot
from penult_server.engine.indexes.build import empty
from penult_server.engine.indexes.faiss_index import FaissIndex


class FaissEngine:
    """Implements core.index_ports.IndexEngine."""

    def __init__(self, *, threads: int, folder: Path | None = None) -> None:
        """`threads` of FAISS serve one search; `folder` takes vectors that a kind keeps on disk."""
        self._threads = threads
        self._folder = folder

    def kinds(self) -> Sequence[str]:
        """See IndexEngine."""
        return sorted(base.KINDS)

    def steps(self) -> Sequence[str]:
        """See IndexEngine."""
        return []

    def validate(self, spec: IndexSpec) -> None:
        """See IndexEngine."""
        if not 1 <= spec.dim <= MAX_DIM:
            raise InvalidArgument("DIMENSION_INVALID", f"dim must be 1 to {MAX_DIM}", field="dim")
        kind, chosen = base.find(spec)
        kind.check(spec, chosen)
        if spec.steps:
            name = spec.steps[0].name
            raise InvalidArgument("STEP_UNKNOWN", f"there is no retrieval step {name[:80]!r}", field="steps")

    def create(self, spec: IndexSpec) -> FaissIndex:
        """See IndexEngine."""
        self.validate(spec)
        return FaissIndex(spec, empty(spec), threads=self._threads, folder=self._folder)

    def load(self, spec: IndexSpec, path: Path) -> FaissIndex:
        """See IndexEngine."""
        self.validate(spec)
        built = snapshot.read(path, spec, self._folder)
        return FaissIndex(spec, built, threads=self._threads, folder=self._folder)
