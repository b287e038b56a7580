"""Backbones of fine-tuned model versions, which calls name "models/NAME@VERSION"."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from penult_server.core.errors import FailedPrecondition
from penult_server.core.model_ports import Artifacts, ModelStore
from penult_server.core.models import ModelKind, ModelReference, ModelVersion, NewVersion

PREFIX = "models/"
WEIGHTS = "backbone.safetensors"
"""File of a version's own backbone; its header says `architecture` and `licence`."""


def own_backbone(model: str, version: int) -> str:
    """The name of a version's own backbone."""
    return f"{PREFIX}{model}@{version}"


def model_of(backbone: str, field: str = "backbone") -> ModelReference | None:
    """The model whose backbone is meant; None for any other backbone. Raises InvalidArgument."""
    return ModelReference.parse(backbone[len(PREFIX) :], field) if backbone.startswith(PREFIX) else None


def made_of(version: NewVersion | ModelVersion) -> list[ModelReference]:
    """The members of an ensemble; of a head, the version whose own backbone it takes the features of."""
    if version.kind is ModelKind.HEAD and version.lineage is not None:
        taken = model_of(version.lineage.backbone)
        return [] if taken is None else [taken]
    return [ModelReference.parse(member) for member in version.members]


@dataclasses.dataclass(frozen=True, slots=True)
class OwnBackbone:
    """Where the weights of a version's own backbone are.

    Attributes:
        name: "models/NAME@VERSION", whatever name it was asked for by.
        revision: another one where the name comes to mean another backbone.
        directory: has the file WEIGHTS.
        check: raises DataLoss where that is damaged. Reads it all.
    """

    name: str
    revision: str
    directory: Path
    check: Callable[[], object]


class OwnBackbones(Protocol):
    """Finds such backbones. Blocking."""

    def find(self, name: str) -> OwnBackbone | None:
        """The backbone of this name; None where it is not one of these.

        Raises:
            InvalidArgument: no name of a model follows the prefix.
            NotFound: no such model or version.
            FailedPrecondition: NO_OWN_BACKBONE.
        """
        ...

    def list(self) -> Sequence[OwnBackbone]:
        """All of them."""
        ...


class StoredBackbones:
    """Implements OwnBackbones over the server's models."""

    def __init__(self, models: ModelStore, artifacts: Artifacts) -> None:
        """`artifacts` has the files of `models`."""
        self._models = models
        self._artifacts = artifacts

    def find(self, name: str) -> OwnBackbone | None:
        """See OwnBackbones."""
        reference = model_of(name)
        if reference is None:
            return None
        version = self._models.resolve(reference)
        if version.kind is not ModelKind.FINE_TUNED:
            raise no_own_backbone(version)
        return self._of(version)

    def list(self) -> Sequence[OwnBackbone]:
        """See OwnBackbones."""
        return [self._of(version) for version in self._models.fine_tuned()]

    def _of(self, version: ModelVersion) -> OwnBackbone:
        artifact = version.artifact
        return OwnBackbone(
            own_backbone(version.model, version.version),
            artifact,
            self._artifacts.path(artifact),
            lambda: self._artifacts.open(artifact),
        )


def no_own_backbone(version: ModelVersion) -> FailedPrecondition:
    """The refusal of a version that was not fine-tuned."""
    hint = f"it is an ensemble: name one of its members, {', '.join(version.members)}"
    if version.lineage is not None:
        hint = f"it takes the features of {version.lineage.backbone}: name that"
    return FailedPrecondition(
        "NO_OWN_BACKBONE", f"model {version.reference} has no backbone of its own", hint=hint
    )
