"""What calls on indexes return."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from penult.types import ItemError

Metric = Literal["cosine", "inner_product", "l2"]
IndexPhaseName = Literal["loading", "ready"]
Vectors = npt.NDArray[np.float32]
"""(N, dim)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """An item that was found, `vector` only where it was asked for.

    `score` is the cosine or inner product, the larger the better; for metric "l2" the Euclidean distance.
    """

    id: str
    score: float
    metadata: dict[str, Any]
    vector: npt.NDArray[np.float32] | None = dataclasses.field(default=None, compare=False, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """An item of an index. `image_sha256` is that of the picture it was added with, "" for none."""

    id: str
    metadata: dict[str, Any]
    image_sha256: str = ""


@dataclasses.dataclass(frozen=True)
class IndexInfo:
    """A named collection of vectors on the server.

    Attributes:
        dim: values of a vector.
        metric: how two vectors are compared.
        kind: as asked for; `IndexStats.kind` is the one at work.
        parameters, steps, memory_bytes: as given to `create`.
        backbone: whose features its vectors are; "" for the caller's own.
        fingerprint: of its vectors; vectors with another are refused.
        keeps_images: images of items are kept.
        label_field: the metadata field that holds a label.
        item_count: items in it.
        aliases: other names of it.
        phase: "loading" after a start of the server, until it can be searched.
        loading_progress: 0 to 1 while it is loading.
    """

    name: str
    dim: int
    metric: Metric
    kind: str
    parameters: Mapping[str, Any]
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    memory_bytes: int
    backbone: str
    fingerprint: str
    keeps_images: bool
    label_field: str
    created: datetime.datetime
    item_count: int
    aliases: tuple[str, ...]
    phase: IndexPhaseName
    loading_progress: float


@dataclasses.dataclass(frozen=True, slots=True)
class AddSummary:
    """What became of items: added + updated + unchanged + errors is the number given.

    Attributes:
        updated: items that were replaced.
        unchanged: items that were so before.
        errors: items that were refused, by position; a reason is one of docs/indexes.md or docs/images.md.
    """

    added: int
    updated: int
    unchanged: int
    errors: tuple[ItemError, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveSummary:
    """How many items were removed, and how many ids the index did not hold."""

    removed: int
    missing: int


@dataclasses.dataclass(frozen=True, slots=True)
class IndexStats:
    """How an index is doing.

    Attributes:
        kind: at work now; under "auto" it changes. `factory` is its FAISS factory string.
        why: this kind, in words.
        memory_bytes: what it holds; `vector_bytes` is what its vectors alone would take.
        trained_on: vectors that the kind was trained on.
        tombstones: removed or replaced vectors whose space is not reclaimed yet.
        pending: vectors searched exactly because the kind's structure does not hold them yet.
        recall_at_10: measured against exact search; None where it has not been.
        sequence: number of the latest write; `snapshot_sequence` that of the snapshot file.
        queries: since the server started; `search_ms_*` is time inside the server of the latest calls.
        load_seconds: at the start of the server; `loaded_from` says from what.
        optimizing: a background optimisation is running.
    """

    item_count: int
    kind: str
    factory: str
    why: str
    memory_bytes: int
    vector_bytes: int
    trained_on: int
    tombstones: int
    pending: int
    recall_at_10: float | None
    device: str
    search: Mapping[str, int]
    steps: tuple[str, ...]
    sequence: int
    snapshot_sequence: int
    snapshot_bytes: int
    image_count: int
    queries: int
    search_ms_p50: float
    search_ms_p95: float
    load_seconds: float
    loaded_from: str
    optimizing: bool


@dataclasses.dataclass(frozen=True, slots=True)
class IndexEvaluation:
    """How well an index finds: `queries` of its items searched, each leaving itself out.

    Attributes:
        recall: share of the k exact nearest neighbours that it finds.
        labelled_queries: those whose label another item carries too; the rest is about these.
        precision: share of the k hits with the query's label.
        mean_average_precision: within the k hits.
        label_recall: share of the items with the query's label that are among the k hits.
        top_1: share whose first hit carries their label.
    """

    k: int
    queries: int
    recall: float
    labelled_queries: int
    precision: float
    mean_average_precision: float
    label_recall: float
    top_1: float


@dataclasses.dataclass(frozen=True, slots=True)
class DuplicateItem:
    """An item of a group; `cosine` is the largest to another one of it, 1 for the same picture."""

    id: str
    image_sha256: str
    metadata: dict[str, Any]
    cosine: float
    has_image: bool


@dataclasses.dataclass(frozen=True, slots=True)
class DuplicateItems:
    """Items that show the same: `count` of them, up to 50 in `items`.

    `exact`: all are the same file; in a dataset, which holds a file once, they have the same pixels.
    """

    items: tuple[DuplicateItem, ...]
    count: int
    exact: bool


@dataclasses.dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Groups of items that show the same or nearly so; the largest 500, exact ones first.

    Attributes:
        index: where they were looked for, "" for a dataset; `dataset` is "" for an index.
        sequence: the index's latest write when the search began.
        threshold: least cosine.
        item_count: items that were looked at.
        group_count: groups in all.
        redundant_count: items that could go without losing a picture.
    """

    index: str
    sequence: int
    threshold: float
    item_count: int
    group_count: int
    redundant_count: int
    groups: tuple[DuplicateItems, ...]
    dataset: str = ""
