"""The contract of a source of backbones. Adding one is a new file and a line in the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from penult_server.core.backbones import BackboneSource, BackboneSummary
from penult_server.engine.backbones.architecture import Architecture
from penult_server.engine.backbones.trunk import Trunk


@dataclass(frozen=True)
class Origin:
    """One backbone of a source. `load` gives the trunk with its trained weights on the CPU.

    `name` is its full name where one of several was asked for; `revision` as in BackboneFacts.
    """

    source: BackboneSource
    architecture: Architecture
    licence: str
    load: Callable[[], Trunk]
    name: str = ""
    revision: str = ""


class Source(Protocol):
    """Knows some backbones by name."""

    def summaries(self) -> Iterable[BackboneSummary]:
        """All that it lists, in any order. Quick: nothing is built and no network is used."""
        ...

    def find(self, name: str) -> Origin | None:
        """The backbone of this name, or None. It may know more names than it lists.

        Raises:
            PenultError: the name is its own, but what it stands for is unusable.
        """
        ...
