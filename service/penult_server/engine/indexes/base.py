"""The contract of a kind of index, and the table they register in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
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

    Attributes:
        kind: the kind at work.
        why: the reason for it, in words.
        factory: a string for faiss.index_factory; empty to build nothing and compare every row.
        effort: nprobe or efSearch; 0 has it raised until recall@10 is `recall`.
        worth: the most effort with which the structure is worth having; 0 for any.
        recall: the goal for recall@10.
        rerank: candidates a hit that are compared exactly.
        rows: where the vectors are kept.
        lossless: the structure holds vectors as they are, so that its distances are exact.
        train: the most vectors to train on; 0 for all.
        ef_construction: of HNSW.
        selects: FAISS honours selectors for it.
    """

    kind: str
    why: str
    factory: str = ""
    effort: int = 0
    worth: int = 0
    recall: float = 0.98
    rerank: int = 1
    rows: RowsPlace = "float32"
    lossless: bool = False
    train: int = 0
    ef_construction: int = 0
    selects: bool = True


P = TypeVar("P", bound=Parameters, contravariant=True)


class Kind(Protocol[P]):
    """One kind of index."""

    name: str

    @property
    def parameters(self) -> type[Parameters]:
        """The model of what a caller can choose."""
        ...

    def plans(self, spec: IndexSpec, chosen: P, count: int) -> Sequence[Plan]:
        """What to build over `count` vectors: the first that proves worth having, else the last."""
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


def too_few(kind: str, count: int, least: int) -> Plan:
    """The plan for fewer vectors than a kind can do with."""
    return Plan("flat", f"{kind} needs {least} vectors, there are {count}: all are compared")
