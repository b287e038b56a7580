"""The contract between tuning in core and what knows settings and ways to search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from penult_server.core.finetune_ports import JobPlot
from penult_server.core.search_space import Space


class TuningMethods(Protocol):
    """What can be tuned, and how. Blocking."""

    def tunable(self) -> Mapping[str, bool]:
        """Names of the settings that may vary; whether they are whole numbers."""
        ...

    def usual_space(self, settings: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is tuned where a caller does not say, as search_space.parse_space reads it.

        Args:
            settings: complete ones of fine-tuning.
            given: those that the caller gave; they do not vary.
        """
        ...

    def validate(self, methods: Mapping[str, Any]) -> dict[str, Any]:
        """`search`, `search_options`, `pruner` and `pruner_options` as complete JSON, "" for the usual ones.

        Raises InvalidArgument: SEARCH_UNKNOWN, PRUNER_UNKNOWN or TUNING_OPTION_INVALID.
        """
        ...

    def budget(self, methods: Mapping[str, Any], space: Space) -> tuple[int | None, float]:
        """How many points the search has for this space, None for any; the usual share of a second stage."""
        ...


class TuningPlots(Protocol):
    """Draws studies. Blocking."""

    def plot(self, space: Space, file: Path) -> JobPlot | None:
        """The study of a record that may still be written to; None where no trial was judged yet."""
        ...
