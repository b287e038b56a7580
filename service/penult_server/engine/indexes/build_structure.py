"""Builds one structure over the living rows of a state, and measures it on vectors that it does not hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import faiss
import numpy as np

from penult_server.core.index_kinds import IndexSpec
from penult_server.core.index_ports import Report
from penult_server.engine.indexes import exact, gpu
from penult_server.engine.indexes.base import Plan, RowsPlace
from penult_server.engine.indexes.exact import PIECE_ROWS
from penult_server.engine.indexes.rows import Rows
from penult_server.engine.indexes.search import Wanted, search_exactly
from penult_server.engine.indexes.state import State
from penult_server.engine.indexes.structure import (
    Structure,
    StructureBlock,
    effort_of,
    innermost,
    make,
    measured_bytes,
)
from penult_server.engine.indexes.tune import K, share_found, tune

_SAMPLE = 256
_SAMPLE_SHARE = 0.1
_SPARE = 8
_SEED = 1
_LEAST_EFFORT = {"nprobe": 1, "efSearch": 16}
_MOST_EF = 1024
# Shares of the progress of a build.
_TRAINED, _ADDED = 0.3, 0.9


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A structure over the rows `order` of the old state, in that order, with rows to match."""

    structure: Structure
    rows: Rows
    order: np.ndarray
    trained_on: int
    recall: float
    effort_name: str
    notes: list[str]


def build_structure(
    spec: IndexSpec, state: State, living: np.ndarray, plan: Plan, folder: Path | None, report: Report
) -> Made:
    """Trains, adds all but a sample, raises the effort until the sample's neighbours are found, adds it."""
    shuffled = np.random.default_rng(_SEED).permutation(living)
    sample = np.sort(shuffled[: min(_SAMPLE, max(1, int(_SAMPLE_SHARE * len(living))))])
    held = np.setdiff1d(living, sample, assume_unique=True)
    index = make(spec.dim, plan.factory, spec.metric)
    if plan.ef_construction:
        innermost(index).hnsw.efConstruction = plan.ef_construction
    training = np.sort(shuffled[len(sample) :][: plan.train or len(held)])
    if not index.is_trained:
        report(0.0, f"training {plan.factory} on {len(training)} vectors")
        index.train(state.rows.gather(training))
    _add(index, state, held, lambda share, words: report(_TRAINED + share * (_ADDED - _TRAINED), words))
    effort_name = effort_of(index)
    proposing = Structure(index, len(held), 0, rerank=plan.rerank, selects=plan.selects)
    report(_ADDED, "measuring recall")
    recall = _Recall(state, held, sample, proposing, plan)
    most = _MOST_EF
    if effort_name == "nprobe":
        most = innermost(index).nlist
    notes: list[str] = []
    effort = plan.effort
    if effort_name and not effort:
        tuned = tune(recall.at, min(_LEAST_EFFORT[effort_name], most), most, plan.recall)
        effort, reached = tuned.effort, tuned.recall
    else:
        reached = recall.at(effort)
    if reached < plan.recall:
        notes.append(f"recall@{K} is {reached:.3f} at best, below {plan.recall}")
    _add(index, state, sample, lambda share, words: report(_ADDED, words))
    order = np.concatenate([held, sample])
    rows = _rows(spec, state, order, index, plan, folder)
    copy = gpu.copy_to_gpu(index)
    structure = Structure(
        index,
        len(order),
        measured_bytes(index),
        effort if effort_name else 0,
        plan.rerank,
        plan.lossless,
        plan.selects,
        copy,
    )
    report(1.0, f"{plan.factory} is ready")
    return Made(structure, rows, order, len(training), reached, effort_name, notes)


def rows_for(dim: int, place: RowsPlace, folder: Path | None) -> Rows:
    """No rows yet, in their place; half precision in memory stands in for a disk that is not there."""
    on_disk = place == "disk" and folder is not None
    half = place == "float16" or (place == "disk" and not on_disk)
    return Rows(dim, "float16" if half else "float32", folder if on_disk else None)


def _add(index: faiss.Index, state: State, chosen: np.ndarray, report: Report) -> None:
    for first in range(0, len(chosen), PIECE_ROWS):
        index.add(state.rows.gather(chosen[first : first + PIECE_ROWS]))
        report(min(1.0, (first + PIECE_ROWS) / len(chosen)), "adding vectors")


def _rows(
    spec: IndexSpec, state: State, order: np.ndarray, index: faiss.Index, plan: Plan, folder: Path | None
) -> Rows:
    if plan.rows == "structure":
        inner = innermost(index)
        if isinstance(inner, faiss.IndexIVF):
            inner.make_direct_map()
        rows = Rows(spec.dim)
        rows.attach(StructureBlock(index), len(order))
        return rows
    kept = rows_for(spec.dim, plan.rows, folder)
    for first in range(0, len(order), PIECE_ROWS):
        kept.append(state.rows.gather(order[first : first + PIECE_ROWS]))
    rows = Rows(spec.dim)  # what comes later is kept in full, in memory
    rows.adopt(kept.view(), 0)
    return rows


class _Recall:
    """Recall@10 of a structure on held-out vectors, at any effort."""

    def __init__(
        self, state: State, held: np.ndarray, sample: np.ndarray, structure: Structure, plan: Plan
    ) -> None:
        self._state, self._held, self._structure, self._plan = state, held, structure, plan
        self._queries = state.rows.gather(sample)
        self._k = min(K, len(held))
        _, self._truth = search_exactly(state, Wanted(self._queries, self._k, held))

    def at(self, effort: int) -> float:
        """Recall at an effort, by the scores of the vectors as they were before anything shortened them."""
        structure = dataclasses.replace(self._structure, effort=effort)
        rows, _ = structure.candidates(self._queries, self._k + _SPARE, None)
        old = np.where(rows >= 0, self._held[rows], exact.NOTHING)
        good = exact.goodness(self._queries, self._state.rows, old, self._state.metric)
        if self._plan.rows == "structure" and not self._plan.lossless:
            good = good[:, : self._k]  # nothing better decides, so FAISS's own order does
        return share_found(self._truth, -np.sort(-good, axis=1)[:, : self._k])
