"""The contract of a kind of index, and the table they register in."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import IndexSpec

RowsPlace = Literal["structure", "float32", "float16", "disk"]
"""Where the vectors of a structure are kept to compare with exactly: in itself, or beside it."""


class Parameters(BaseModel):
    """Base of what a caller can choose about a kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What to build over a number of vectors.

    `factory` is a string for faiss.index_factory, empty to build nothing and search every row exactly.
    `effort` names the search parameter that trades speed for recall, raised from `least` to `most`
    until recall@10 is `recall`. `rerank`: candidates a hit that are compared exactly.
    """

    kind: str
    why: str
    factory: str = ""
    effort: Literal["", "nprobe", "efSearch"] = ""
    least: int = 0
    most: int = 0
    recall: float = 0.98
    rerank: int = 1
    rows: RowsPlace = "float32"
    train: int = 0


P = TypeVar("P", bound=Parameters, contravariant=True)


class Kind(Protocol[P]):
    """One kind of index."""

    name: str
    parameters: type[Parameters]

    def plan(self, spec: IndexSpec, chosen: P, count: int) -> Plan:
        """What to build over `count` vectors. An empty factory where they are too few for more."""
        ...

    def check(self, spec: IndexSpec, chosen: P) -> None:
        """Raises InvalidArgument for parameters that do not fit the spec."""
        ...


KINDS: dict[str, Kind[Any]] = {}
K = TypeVar("K", bound=Kind[Any])


def register(kind: type[K]) -> type[K]:
    """Class decorator: makes the kind one of KINDS."""
    KINDS[kind.name] = kind()
    return kind


def find(spec: IndexSpec) -> tuple[Kind[Any], Parameters]:
    """The kind of a spec, and its parameters.

    Raises:
        InvalidArgument: INDEX_KIND_UNKNOWN or INDEX_PARAMETERS_INVALID.
    """
    kind = KINDS.get(spec.kind)
    if kind is None:
        raise InvalidArgument(
            "INDEX_KIND_UNKNOWN",
            f"there is no kind of index {spec.kind[:80]!r}",
            field="kind",
            hint=f"one of: {', '.join(sorted(KINDS))}",
        )
    try:
        return kind, kind.parameters.model_validate(dict(spec.parameters))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise InvalidArgument(
            "INDEX_PARAMETERS_INVALID",
            f"parameter {name!r} of kind {spec.kind}: {problem['msg']}",
            field=f"parameters.{name}",
            hint=f"it takes: {', '.join(kind.parameters.model_fields) or 'none'}",
        ) from None
