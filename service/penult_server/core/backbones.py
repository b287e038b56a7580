"""Backbones as the API shows them: facts, states, and which to evict when memory is short."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from penult_server.core.preprocess import Preprocess


class BackboneState(enum.Enum):
    """Where a backbone is in its life. TRANSITIONS lists every legal change."""

    AVAILABLE = "available"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


TRANSITIONS: dict[BackboneState, frozenset[BackboneState]] = {
    BackboneState.AVAILABLE: frozenset({BackboneState.LOADING}),
    BackboneState.LOADING: frozenset({BackboneState.READY, BackboneState.FAILED}),
    BackboneState.READY: frozenset({BackboneState.AVAILABLE}),
    BackboneState.FAILED: frozenset({BackboneState.LOADING}),
}


class BackboneSource(enum.Enum):
    """Where the weights come from."""

    BUNDLED = "bundled"
    DIRECTORY = "directory"
    IMPORTED = "imported"
    TIMM = "timm"
    TORCHVISION = "torchvision"
    FINE_TUNED = "fine_tuned"

    @property
    def local(self) -> bool:
        """True where no network is needed."""
        return self not in (BackboneSource.TIMM, BackboneSource.TORCHVISION)


@dataclasses.dataclass(frozen=True, slots=True)
class BackboneSummary:
    """One row of the catalog: what is known without building the network."""

    name: str
    architecture: str
    source: BackboneSource


@dataclasses.dataclass(frozen=True, slots=True)
class BackboneFacts:
    """What is known of a backbone without its weights.

    `parameter_count` leaves the classifier out. `layers` are the names accepted for intermediate
    features, in the order of the forward pass. `revision` tells apart what a name means now from what it
    may mean later; "" where it always means the same.
    """

    name: str
    architecture: str
    source: BackboneSource
    dim: int
    preprocess: Preprocess
    licence: str
    parameter_count: int
    layers: tuple[str, ...]
    revision: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class LoadReport:
    """What became known by loading: where and how the backbone runs."""

    device: str
    provider: str
    provider_cosine: float
    provider_note: str
    memory_bytes: int
    weights_sha256: str
    numerics: str


@dataclasses.dataclass(frozen=True, slots=True)
class ImportRecord:
    """What is kept of an import beside its weights. `sha256` is over the file as it was sent."""

    name: str
    architecture: str
    licence: str
    sha256: str
    size_bytes: int
    request_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone as the API shows it. `facts` is None where it was listed without being described."""

    summary: BackboneSummary
    state: BackboneState
    facts: BackboneFacts | None = None
    report: LoadReport | None = None
    fingerprint: str = ""
    error: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Resident:
    """A backbone in memory, as the eviction plan sees it."""

    name: str
    memory_bytes: int
    last_used: float
    in_use: bool


def plan_eviction(residents: Sequence[Resident], needed: int, budget: int) -> list[str] | None:
    """Names to unload, least recently used first, so that `needed` more bytes fit into `budget`.

    Returns an empty list when nothing has to go, and None when even unloading everything that is
    not in use would not be enough.
    """
    excess = sum(r.memory_bytes for r in residents) + needed - budget
    chosen: list[str] = []
    for resident in sorted((r for r in residents if not r.in_use), key=lambda r: r.last_used):
        if excess <= 0:
            break
        chosen.append(resident.name)
        excess -= resident.memory_bytes
    return chosen if excess <= 0 else None
