"""The engine of indexes: makes, checks and loads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import MAX_DIM, IndexSpec, Metric
from penult_server.core.index_ports import VectorIndex
from penult_server.engine.indexes import base, snapshot
from penult_server.engine.indexes.build import Built, empty
from penult_server.engine.indexes.faiss_index import FaissIndex
from penult_server.engine.retrieval import stepped_snapshot
from penult_server.engine.retrieval.base import STEPS, Chain, make_steps
from penult_server.engine.retrieval.stepped_index import Serving, SteppedIndex


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
        return sorted(STEPS)

    def validate(self, spec: IndexSpec) -> None:
        """See IndexEngine."""
        if not 1 <= spec.dim <= MAX_DIM:
            raise InvalidArgument("DIMENSION_INVALID", f"dim must be 1 to {MAX_DIM}", field="dim")
        if spec.metric not in get_args(Metric):
            raise InvalidArgument(
                "METRIC_UNKNOWN",
                f"there is no metric {spec.metric[:80]!r}",
                field="metric",
                hint=f"one of: {', '.join(get_args(Metric))}",
            )
        kind, chosen = base.find(spec)
        kind.check(spec, chosen)
        make_steps(spec)

    def create(self, spec: IndexSpec) -> VectorIndex:
        """See IndexEngine."""
        self.validate(spec)
        if not spec.steps:
            return self._index(spec, empty(spec, self._folder))
        inner = dataclasses.replace(spec, steps=())
        steps = make_steps(spec)
        serving = Serving(self._index(inner, empty(inner, self._folder)), Chain.unfitted(steps))
        originals = self._originals(spec)
        return self._stepped(spec, self._index(originals, empty(originals, self._folder)), serving)

    def load(self, spec: IndexSpec, path: Path) -> VectorIndex:
        """See IndexEngine."""
        self.validate(spec)
        if not spec.steps:
            return self._index(spec, snapshot.read(path, spec, self._folder))
        loaded = stepped_snapshot.read(path, spec, self._folder)
        inner = dataclasses.replace(spec, dim=loaded.dim, steps=())
        serving = Serving(self._index(inner, loaded.changed), loaded.chain, loaded.learned_from)
        return self._stepped(spec, self._index(self._originals(spec), loaded.originals), serving)

    def _index(self, spec: IndexSpec, built: Built) -> FaissIndex:
        return FaissIndex(spec, built, threads=self._threads, folder=self._folder)

    def _stepped(self, spec: IndexSpec, originals: FaissIndex, serving: Serving) -> SteppedIndex:
        return SteppedIndex(
            spec, originals, serving, lambda inner: self._index(inner, empty(inner, self._folder))
        )

    def _originals(self, spec: IndexSpec) -> IndexSpec:
        return IndexSpec(spec.dim, spec.metric, "flat", {"vectors": "disk"})
