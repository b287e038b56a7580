"""The contract of a retrieval step, and the table they register in.

A step changes vectors on their way into an index, queries on their way into a search, or both. Steps
see float32 (N, dim), of length 1 under cosine, and give the same. They never see a label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import MAX_STEPS, IndexSpec

Fitted: TypeAlias = Mapping[str, np.ndarray]
"""What a step has learned from the collection, by name."""
Neighbours: TypeAlias = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""Finds the nearest of the collection: queries (Q, dim) and k give vectors (Q, k, dim) and scores (Q, k);
missing ones have NaN scores and vectors of zeros."""


class Parameters(BaseModel):
    """Base of what a caller can choose about a step."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Step:
    """Base of all steps: changes nothing. A step overrides what it does."""

    name: str
    parameters: type[Parameters] = Parameters
    fits = False
    """Whether it learns from the collection; until then it changes nothing."""
    augments = False
    """Whether it changes the vectors of the collection by each other."""

    def __init__(self, chosen: Any) -> None:
        self.chosen = chosen

    def check(self, spec: IndexSpec, dim: int) -> None:
        """Raises ValueError for parameters that do not fit an index, or the `dim` that comes to this step."""

    def fit(self, vectors: np.ndarray) -> Fitted:
        """Learns from the collection, or a sample of it."""
        return {}

    def transform(self, vectors: np.ndarray, fitted: Fitted) -> np.ndarray:
        """Changes vectors of the collection and queries alike, float32 (N, dim) to (N, other dim)."""
        return vectors

    def augment(self, vectors: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """Changes vectors of the collection by their neighbours, which include themselves."""
        return vectors

    def expand(self, queries: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """Changes queries by what they find."""
        return queries


STEPS: dict[str, type[Step]] = {}
S = TypeVar("S", bound=Step)


def register(step: type[S]) -> type[S]:
    """Class decorator: makes the step one of STEPS."""
    STEPS[step.name] = step
    return step


def make_steps(spec: IndexSpec) -> Sequence[Step]:
    """The steps of a spec.

    Raises:
        InvalidArgument: STEP_UNKNOWN or STEP_INVALID.
    """
    if len(spec.steps) > MAX_STEPS:
        raise InvalidArgument("STEP_INVALID", f"an index has at most {MAX_STEPS} steps", field="steps")
    if spec.steps and spec.metric != "cosine":
        raise InvalidArgument(
            "STEP_INVALID", "steps change lengths, so the metric must be cosine", field="steps"
        )
    made: list[Step] = []
    for position, wanted in enumerate(spec.steps):
        field = f"steps[{position}]"
        found = STEPS.get(wanted.name)
        if found is None:
            raise InvalidArgument(
                "STEP_UNKNOWN",
                f"there is no retrieval step {wanted.name[:80]!r}",
                field=f"{field}.name",
                hint=f"one of: {', '.join(sorted(STEPS))}",
            )
        try:
            step = found(found.parameters.model_validate(dict(wanted.parameters)))
            step.check(spec, spec.dim)
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(map(str, problem["loc"]))
            raise InvalidArgument(
                "STEP_INVALID",
                f"parameter {name!r} of step {wanted.name}: {problem['msg']}",
                field=f"{field}.parameters.{name}",
                hint=f"it takes: {', '.join(found.parameters.model_fields) or 'none'}",
            ) from None
        except ValueError as error:
            raise InvalidArgument("STEP_INVALID", f"step {wanted.name}: {error}", field=field) from None
        made.append(step)
    return made


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """Steps with what they learned; `fitted` has one entry a step, None for one that has not learned yet."""

    steps: Sequence[Step]
    fitted: Sequence[Fitted | None]

    @classmethod
    def unfitted(cls, steps: Sequence[Step]) -> Chain:
        """Steps at work as far as they need to learn nothing."""
        return cls(steps, [None if step.fits else {} for step in steps])

    @classmethod
    def fit(cls, steps: Sequence[Step], vectors: np.ndarray) -> Chain:
        """Steps that learn in turn, each from what those before it make of the vectors."""
        fitted: list[Fitted] = []
        for step in steps:
            fitted.append(step.fit(vectors))
            vectors = step.transform(vectors, fitted[-1])
        return cls(steps, fitted)

    @property
    def complete(self) -> bool:
        """Whether every step is at work."""
        return None not in self.fitted

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors or queries as the index holds them."""
        for step, fitted in zip(self.steps, self.fitted, strict=True):
            if fitted is not None:
                vectors = step.transform(vectors, fitted)
        return np.ascontiguousarray(vectors, np.float32)

    def augment(self, vectors: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """Transformed vectors of the collection, changed by each other."""
        for step in self.steps:
            vectors = step.augment(vectors, neighbours)
        return np.ascontiguousarray(vectors, np.float32)

    def expand(self, queries: np.ndarray, neighbours: Neighbours) -> np.ndarray:
        """Transformed queries, changed by what they find."""
        for step in self.steps:
            queries = step.expand(queries, neighbours)
        return np.ascontiguousarray(queries, np.float32)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32. A row of zeros, such as the mean itself, lies on the first axis."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    scaled[lengths[:, 0] == 0, 0] = 1
    return scaled


def weighted_mean(own: np.ndarray, found: np.ndarray, scores: np.ndarray, alpha: float) -> np.ndarray:
    """Vectors (N, dim) plus their neighbours (N, k, dim), each weighted by its cosine to the power alpha.

    Weighting and sum of Radenović, Tolias & Chum (TPAMI 2019): a neighbour counts by how near it is.
    """
    weights = np.nan_to_num(np.clip(scores, 0, 1)) ** alpha * np.isfinite(scores)
    return normalised(own + np.einsum("nk,nkd->nd", weights, found))
