"""The contracts between models in core and what trains, runs and keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from penult_server.core.models import Model, ModelReference, ModelVersion, NewVersion


@dataclasses.dataclass(frozen=True, slots=True)
class TakenVersion:
    """A version out of an archive; `members` are those that it is made of, by their places before it."""

    name: str
    version: NewVersion
    members: Sequence[int]


class ModelStore(Protocol):
    """Keeps models. Blocking; called off the event loop. What returns is durable.

    Methods raise NotFound where no model, version or alias has the name. A repeated `request_id` gets
    the first answer again; "" stands for none. All writes raise ResourceExhausted on a full disk.
    """

    def check_room(self, name: str) -> None:
        """Before a job that is to publish there. Raises ResourceExhausted where a quota is used up.

        `publish` looks at none: what was let in comes to its end.
        """
        ...

    def publish(self, name: str, job_id: str, make: Callable[[], NewVersion]) -> ModelVersion:
        """A new version, made by a job, with those beside it. `make` puts artifacts in place; rows follow.

        Returns what the job has published before, if it has, without calling `make`. Raises NotFound where
        the version whose backbone it takes is gone.
        """
        ...

    def ensemble(
        self, name: str, new: NewVersion, member_ids: Sequence[int], request_id: str
    ) -> ModelVersion:
        """A new version made of others. Raises NotFound where one of them is gone."""
        ...

    def take_in(
        self, name: str, make: Callable[[str], Sequence[TakenVersion]], request_id: str
    ) -> ModelVersion:
        """New versions out of an archive, all or none; the last of them, which is of the model `name`.

        `make` puts their artifacts in place, with names that begin with what it is given; the rows follow at
        once. Raises ResourceExhausted where a quota is used up.
        """
        ...

    def taken_in(self, name: str, request_id: str) -> ModelVersion | None:
        """What `take_in` has answered to this request_id before, if it has."""
        ...

    def resolve(self, reference: ModelReference, *, evidence: bool = False) -> ModelVersion:
        """The version that is meant, with its evidence if asked for."""
        ...

    def get(self, name: str) -> Model:
        """One model."""
        ...

    def list(self, after: str, limit: int) -> Sequence[Model]:
        """Models by name from the one after `after`."""
        ...

    def versions(self, name: str, before: int | None, limit: int) -> Sequence[ModelVersion]:
        """Versions, newest first, from the one before `before`; without evidence."""
        ...

    def fine_tuned(self) -> Sequence[ModelVersion]:
        """Every version with a backbone of its own, by name and number; without evidence."""
        ...

    def set_alias(self, name: str, alias: str, version: int | None, request_id: str) -> Model:
        """Points an alias to a version (None: the latest), moving it if it exists."""
        ...

    def delete_alias(self, name: str, alias: str, request_id: str) -> Model:
        """Removes an alias."""
        ...

    def delete(self, name: str, request_id: str) -> int:
        """Removes a model; says how many versions it had. Raises FailedPrecondition while it is in use."""
        ...

    def delete_version(self, name: str, version: int, request_id: str) -> None:
        """Removes a version, with the last one the model. Raises FailedPrecondition while it is in use."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A file of a model version."""

    size_bytes: int
    sha256: str


class Artifacts(Protocol):
    """Keeps the files of model versions, whole or not at all. Blocking."""

    def add(self, name: str, source: Path) -> int:
        """Copies a directory of files under a new name, durably; says how many bytes they have.

        What a crash left under that name is replaced. Raises ResourceExhausted where the disk is full.
        """
        ...

    def path(self, name: str) -> Path:
        """The directory, unchecked."""
        ...

    def files(self, name: str) -> Mapping[str, ArtifactFile]:
        """What files there are, by name, as they were added. Raises DataLoss MODEL_DAMAGED."""
        ...

    def open(self, name: str) -> Path:
        """The directory, every file of it checked. Raises DataLoss MODEL_DAMAGED."""
        ...

    def link(self, name: str, target: Path) -> None:
        """Gives the files second names in a new directory, so that they outlive the model there.

        Raises as `open` does.
        """
        ...


class LoadedHead(Protocol):
    """A head in memory. Threads may share it."""

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """float32 (N, classes) of finite features, float32 (N, dim). Blocking."""
        ...


class Heads(Protocol):
    """The kinds of head, and the way from files to a head."""

    def validate(self, head: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters as complete JSON. Raises InvalidArgument for an unknown head or parameter."""
        ...

    def load(self, directory: Path) -> LoadedHead:
        """Reads a head's files. Blocking. Raises DataLoss where they are no head."""
        ...
