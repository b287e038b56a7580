"""The contracts between fine-tuning in core and what knows recipes, draws, and reads weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from penult_server.core.diagnosis import Finding


@dataclasses.dataclass(frozen=True, slots=True)
class DrawnSchedule:
    """A learning rate before any step: `factors` of its peak, one a step; 0 for a peak that is not known."""

    png: bytes
    factors: Sequence[float]
    peak_rate: float


@dataclasses.dataclass(frozen=True, slots=True)
class JobPlot:
    """Curves as a picture, and what they say."""

    png: bytes
    findings: Sequence[Finding]


class FineTuneRecipes(Protocol):
    """What fine-tuning can be told. Blocking."""

    def validate(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings as complete JSON.

        Raises InvalidArgument: SETTING_UNKNOWN, BAD_SETTING, OPTIMIZER_UNKNOWN, OPTIMIZER_UNSUPPORTED,
        BAD_OPTIMIZER_OPTION, SCHEDULE_UNKNOWN or BAD_SCHEDULE_OPTION.
        """
        ...

    def check(self, settings: Mapping[str, Any], architecture: str, training_images: int) -> None:
        """What depends on network and dataset, of complete settings.

        Raises InvalidArgument LAYER_UNKNOWN with near matches, FailedPrecondition SET_TOO_SMALL.
        """
        ...

    def draw(self, settings: Mapping[str, Any], training_images: int) -> DrawnSchedule:
        """The learning rate of every step, of complete settings."""
        ...


class CurvePlots(Protocol):
    """Reads and draws the curves that a training wrote. Blocking."""

    def plot(self, file: Path) -> JobPlot | None:
        """The curves of a file that may still be written to; None where nothing is measured yet."""
        ...


class Fingerprints(Protocol):
    """Tells what features weights give. Blocking."""

    def fingerprint(self, directory: Path) -> str:
        """Of the plain features of the own backbone in a directory, as this server gives them."""
        ...
