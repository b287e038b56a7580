"""Which backbones are in memory: loading once however many ask, evicting the least recently used."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from penult_server.core.backbones import TRANSITIONS, BackboneFacts, BackboneState, Resident, plan_eviction
from penult_server.core.errors import FailedPrecondition, PenultError, ResourceExhausted
from penult_server.core.ports import BackboneCatalog, BackboneLoader, LoadedBackbone

_T = TypeVar("_T")
_BYTES_PER_PARAMETER = 4
# Weights, the provider's own copy of them, and the activations of a batch.
_LOAD_FACTOR = 3


@dataclasses.dataclass
class _Slot:
    """One backbone that somebody asked for."""

    name: str
    state: BackboneState = BackboneState.AVAILABLE
    loaded: LoadedBackbone | None = None
    loading: asyncio.Task[LoadedBackbone] | None = None
    reserved: int = 0
    users: int = 0
    last_used: float = 0.0
    error: str = ""

    def become(self, state: BackboneState) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state = state


@dataclasses.dataclass(frozen=True, slots=True)
class SlotView:
    """What the outside may know of a slot."""

    state: BackboneState
    loaded: LoadedBackbone | None
    error: str


class BackbonePool:
    """Backbones in memory under a budget in bytes. Lives on one event loop."""

    def __init__(
        self,
        catalog: BackboneCatalog,
        loader: BackboneLoader,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts empty."""
        self._catalog = catalog
        self._loader = loader
        self._clock = clock
        # By name and revision: a name may come to mean another backbone while calls still use the first.
        self._slots: dict[str, _Slot] = {}
        # `resnet50` and `resnet50.a1_in1k` may be the same backbone: it is kept once.
        self._canonical: dict[str, str] = {}

    def view(self) -> Mapping[str, SlotView]:
        """State of every name that was ever asked for; that of the latest revision."""
        return {s.name: SlotView(s.state, s.loaded, s.error) for s in self._slots.values()}

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LoadedBackbone]:
        """The backbone, loaded, and safe from eviction until the block ends.

        Raises:
            NotFound: nobody knows the name.
            ResourceExhausted: it does not fit beside what is in use.
            PenultError: whatever the load says.
        """
        revision = ""
        if name in self._canonical:
            name = self._canonical[name]
        else:  # a wrong name raises here and leaves nothing behind
            asked, facts = name, await _off_loop(lambda: self._catalog.describe(name))
            name, revision = facts.name, facts.revision
            if not revision:
                self._canonical[asked] = name
        slot = self._slots.setdefault(f"{name}#{revision}" if revision else name, _Slot(name))
        slot.users += 1
        try:
            loaded = slot.loaded or await self._load(name, slot)
            yield loaded
        finally:
            slot.users -= 1
            slot.last_used = self._clock()

    async def unload(self, name: str) -> None:
        """Frees a backbone's memory. Does nothing where it is not loaded.

        Raises FailedPrecondition BACKBONE_IN_USE while calls are using it.
        """
        for key, slot in [(key, slot) for key, slot in self._slots.items() if slot.name == name]:
            if slot.state is BackboneState.AVAILABLE:
                continue
            if slot.users or slot.loading:
                raise FailedPrecondition(
                    "BACKBONE_IN_USE",
                    f"backbone {name!r} is in use by {slot.users} calls",
                    hint="retry when they have finished",
                )
            if slot.loaded is not None:
                self._evict(slot)
            else:
                del self._slots[key]

    def close(self) -> None:
        """Frees everything."""
        for slot in self._slots.values():
            if slot.loaded is not None:
                self._evict(slot)

    async def _load(self, name: str, slot: _Slot) -> LoadedBackbone:
        if slot.loading is None:
            slot.loading = asyncio.create_task(self._load_once(name, slot))
        # Shielded: one caller that gives up must not take the load away from the others.
        return await asyncio.shield(slot.loading)

    async def _load_once(self, name: str, slot: _Slot) -> LoadedBackbone:
        slot.become(BackboneState.LOADING)
        try:
            facts = await _off_loop(lambda: self._catalog.describe(name))
            self._make_room(facts, slot)
            loaded = await _off_loop(lambda: self._loader.load(facts))
        except Exception as error:  # noted and raised again: a slot must not stay LOADING whatever happened
            slot.become(BackboneState.FAILED)
            slot.error = error.message if isinstance(error, PenultError) else "internal error; see the log"
            raise
        finally:
            slot.loading = None
            slot.reserved = 0
        slot.loaded, slot.error, slot.last_used = loaded, "", self._clock()
        slot.become(BackboneState.READY)
        return loaded

    def _make_room(self, facts: BackboneFacts, slot: _Slot) -> None:
        needed = facts.parameter_count * _BYTES_PER_PARAMETER * _LOAD_FACTOR
        budget = self._loader.memory_budget()
        residents = [
            Resident(
                key,
                other.loaded.report.memory_bytes if other.loaded else other.reserved,
                other.last_used,
                in_use=other.users > 0 or other.loading is not None,
            )
            for key, other in self._slots.items()
            if other is not slot and (other.loaded or other.reserved)
        ]
        victims = plan_eviction(residents, needed, budget)
        if victims is None:
            in_use = [self._slots[r.name].name for r in residents if r.in_use]
            raise ResourceExhausted(
                "BACKBONE_MEMORY",
                f"backbone {facts.name!r} needs about {needed >> 20} MiB, which does not fit into the "
                f"budget of {budget >> 20} MiB beside those in use ({', '.join(in_use) or 'none'})",
                retry_after=5.0 if in_use else None,
                hint="raise backbone_memory_mb in the server's settings, or choose a smaller backbone",
            )
        for key in victims:
            self._evict(self._slots[key])
        slot.reserved = needed

    @staticmethod
    def _evict(slot: _Slot) -> None:
        assert slot.loaded is not None
        slot.loaded.close()
        slot.loaded = None
        slot.become(BackboneState.AVAILABLE)


async def _off_loop(call: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(None, call)
