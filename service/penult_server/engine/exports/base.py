"""The contract of an export format."""

from __future__ import annotations

import abc
import dataclasses
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from penult_server.core.errors import InvalidArgument
from penult_server.engine.backbones.catalog import BuiltBackbone
from penult_server.engine.heads.head import Head


@dataclasses.dataclass(frozen=True)
class Exported:
    """What is exported.

    Attributes:
        built: the backbone with its weights, on the CPU.
        head: on the features of that backbone.
        card: what is known of the model, as JSON: name, version, labels, preprocess, lineage, evidence.
    """

    built: BuiltBackbone
    head: Head
    card: Mapping[str, Any]


class ExportFormat(abc.ABC):
    """A format. Registered by `@export_format(name)`; has no state."""

    suffix: ClassVar[str]
    """Ending of the file's name."""
    tolerance: ClassVar[float] = 1e-4
    """How far a probability from the file may be from the server's."""

    @abc.abstractmethod
    def write(self, model: Exported, file: Path) -> None:
        """Writes one file. Raises FailedPrecondition for a model that the format cannot hold."""

    @abc.abstractmethod
    def run(self, model: Exported, file: Path, pictures: np.ndarray) -> np.ndarray:
        """What the file says, by the means of who receives it.

        Args:
            model: for what the format leaves to its reader, such as the backbone of bare arrays.
            file: what `write` made.
            pictures: uint8 (N, H, W, 3), resized and cropped as the preprocess says.

        Returns:
            Probabilities, float32 (N, classes).
        """


_formats: dict[str, ExportFormat] = {}
F = TypeVar("F", bound=ExportFormat)


def export_format(name: str) -> Callable[[type[F]], type[F]]:
    """Registers the decorated class under the name that clients use."""

    def register(kind: type[F]) -> type[F]:
        _formats[name] = kind()
        return kind

    return register


def export_formats() -> list[str]:
    """Names of all that are registered, sorted."""
    return sorted(_formats)


class RegisteredFormats:
    """Implements core.export_ports.ExportFormats."""

    def check(self, name: str) -> None:
        """See core.export_ports.ExportFormats."""
        find(name)


def find(name: str) -> ExportFormat:
    """A format by name. Raises InvalidArgument FORMAT_UNKNOWN with near names."""
    if name in _formats:
        return _formats[name]
    near = difflib.get_close_matches(name, _formats, n=3, cutoff=0.4)
    raise InvalidArgument(
        "FORMAT_UNKNOWN",
        f"there is no export format {name[:80]!r}",
        field="format",
        hint=f"near: {', '.join(near)}" if near else f"there are: {', '.join(export_formats())}",
    )
