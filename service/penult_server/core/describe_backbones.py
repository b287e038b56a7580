"""Use cases on backbones: list, get, load, unload."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fnmatch
from collections.abc import Sequence

from penult_server.core.backbone_pool import BackbonePool, SlotView
from penult_server.core.backbones import (
    Backbone,
    BackboneFacts,
    BackboneSource,
    BackboneState,
    BackboneSummary,
)
from penult_server.core.errors import PenultError
from penult_server.core.extract import identity_of
from penult_server.core.features import FeatureOptions, fingerprint
from penult_server.core.paging import Page, paginate
from penult_server.core.ports import BackboneCatalog

_ABSENT = SlotView(BackboneState.AVAILABLE, None, "")


@dataclasses.dataclass(frozen=True, slots=True)
class BackboneFilter:
    """Which backbones to list. Empty sources mean those that need no network, and whatever is in memory."""

    query: str = ""
    sources: frozenset[BackboneSource] = frozenset()
    state: BackboneState | None = None


class DescribeBackbones:
    """What backbones there are, and which of them are in memory."""

    def __init__(self, catalog: BackboneCatalog, pool: BackbonePool, *, default_backbone: str) -> None:
        """`default_backbone`: what an empty name means."""
        self._catalog = catalog
        self._pool = pool
        self._default_backbone = default_backbone

    async def list(self, wanted: BackboneFilter, page_size: int, page_token: str) -> Page[Backbone]:
        """One page, by name. What is in memory or needs no network comes with facts, where it has any."""
        rows = await asyncio.to_thread(self._catalog.summaries)
        slots = self._pool.view()
        chosen = [row for row in rows if _matches(row, slots.get(row.name, _ABSENT), wanted)]
        page = paginate(chosen, page_size, page_token, key=lambda row: row.name)
        facts = await asyncio.to_thread(self._facts, [row for row in page.items if row.source.local])
        return Page(
            [_backbone(row, slots.get(row.name, _ABSENT), facts.get(row.name)) for row in page.items],
            page.next_token,
        )

    def _facts(self, rows: Sequence[BackboneSummary]) -> dict[str, BackboneFacts]:
        found = {}
        for row in rows:
            # What is wrong with one is told by whoever asks for it, and hides no other.
            with contextlib.suppress(PenultError):
                found[row.name] = self._catalog.describe(row.name)
        return found

    async def get(self, name: str) -> Backbone:
        """One backbone with its facts. Raises NotFound with near matches."""
        facts = await asyncio.to_thread(self._catalog.describe, name or self._default_backbone)
        slot = self._pool.view().get(facts.name, _ABSENT)
        return _backbone(BackboneSummary(facts.name, facts.architecture, facts.source), slot, facts)

    async def load(self, name: str) -> Backbone:
        """Loads and warms up. Raises what the load says."""
        name = name or self._default_backbone
        async with self._pool.lease(name):
            pass
        return await self.get(name)

    async def unload(self, name: str) -> Backbone:
        """Frees the memory. Raises FailedPrecondition while it is in use."""
        name = name or self._default_backbone
        backbone = await self.get(name)
        await self._pool.unload(backbone.summary.name)
        return await self.get(name)


def _backbone(row: BackboneSummary, slot: SlotView, facts: BackboneFacts | None) -> Backbone:
    if slot.loaded is None:
        return Backbone(row, slot.state, facts, error=slot.error)
    return Backbone(
        row,
        slot.state,
        slot.loaded.facts,
        slot.loaded.report,
        fingerprint(identity_of(slot.loaded), FeatureOptions()),
    )


def _matches(row: BackboneSummary, slot: SlotView, wanted: BackboneFilter) -> bool:
    if wanted.state is not None and slot.state is not wanted.state:
        return False
    if wanted.sources:
        if row.source not in wanted.sources:
            return False
    elif not row.source.local and slot.state is BackboneState.AVAILABLE and wanted.query == "":
        return False
    query, name = wanted.query.lower(), row.name.lower()
    if "*" in query or "?" in query:
        return fnmatch.fnmatchcase(name, query)
    return query in name
