"""From the state of an index to its next form, made aside while the index goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from penult_server.core.errors import ResourceExhausted
from penult_server.core.index_kinds import IndexSpec
from penult_server.core.index_ports import Report
from penult_server.engine.indexes.base import Plan, find
from penult_server.engine.indexes.build_structure import build_structure, rows_for
from penult_server.engine.indexes.exact import PIECE_ROWS
from penult_server.engine.indexes.rows import Rows
from penult_server.engine.indexes.state import State
from penult_server.engine.indexes.structure import Structure


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What was built, why, and what was measured.

    `planned` is the first factory string that was thought of, for `built_for` vectors; `factory` the
    one that was taken.
    """

    kind: str
    why: str
    factory: str = ""
    planned: str = ""
    built_for: int = 0
    trained_on: int = 0
    recall_at_10: float | None = None
    device: str = "cpu"
    search: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """All that an index consists of."""

    rows: Rows
    keys: np.ndarray
    alive: np.ndarray
    sequence: int
    structure: Structure | None
    facts: Facts


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """All that an index holds at one moment."""

    spec: IndexSpec
    state: State
    facts: Facts


def plans_for(spec: IndexSpec, count: int) -> Sequence[Plan]:
    """What the spec's kind would make of so many vectors, best first."""
    kind, chosen = find(spec)
    plans: Sequence[Plan] = kind.plans(spec, chosen, count)
    return plans


def empty(spec: IndexSpec, folder: Path | None) -> Built:
    """A new index."""
    plan = plans_for(spec, 0)[0]
    facts = Facts("flat", plan.why, recall_at_10=1.0)
    return Built(
        rows_for(spec.dim, plan.rows, folder), np.empty(0, np.int64), np.empty(0, bool), 0, None, facts
    )


def build(spec: IndexSpec, state: State, folder: Path | None, report: Report) -> tuple[Built, np.ndarray]:
    """A form of the living rows that fits their number: the first plan that proves worth having.

    Returns:
        It, and the old rows that its rows were, int64.

    Raises:
        ResourceExhausted: MEMORY_BUDGET.
    """
    living = np.flatnonzero(state.alive)
    plans = plans_for(spec, len(living))
    refused: list[str] = []
    for plan in plans:
        if not plan.factory:
            return _flat(spec, state, living, plan, folder, report), living
        made = build_structure(spec, state, living, plan, folder, report)
        effort = made.structure.effort
        facts = Facts(
            plan.kind,
            "; ".join([plan.why, *refused, *made.notes]),
            factory=plan.factory,
            planned=plans[0].factory,
            built_for=len(living),
            trained_on=made.trained_on,
            recall_at_10=made.recall,
            device=made.structure.gpu.device if made.structure.gpu else "cpu",
            search={made.effort_name: effort} if made.effort_name else {},
        )
        built = Built(
            made.rows,
            state.keys[made.order],
            np.ones(len(living), bool),
            state.sequence,
            made.structure,
            facts,
        )
        if plan is plans[-1] or ((not plan.worth or effort <= plan.worth) and made.recall >= plan.recall):
            _check_budget(spec, built)
            return built, made.order
        refused.append(f"{plan.factory} needs {made.effort_name} {effort} for recall@10 {made.recall:.3f}")
    raise AssertionError("a kind plans something")


def carry_over(built: Built, order: np.ndarray, now: State, sealed: int) -> Built:
    """The new form with what was written since the seal; `order` says which old rows it holds."""
    built.rows.adopt(now.rows, sealed)
    return dataclasses.replace(
        built,
        keys=np.concatenate([built.keys, now.keys[sealed:]]),
        alive=np.concatenate([now.alive[order], now.alive[sealed:]]),
        sequence=now.sequence,
    )


def _flat(
    spec: IndexSpec, state: State, living: np.ndarray, plan: Plan, folder: Path | None, report: Report
) -> Built:
    rows = rows_for(spec.dim, plan.rows, folder)
    for first in range(0, len(living), PIECE_ROWS):
        rows.append(state.rows.gather(living[first : first + PIECE_ROWS]))
        report(min(1.0, (first + PIECE_ROWS) / len(living)), "copying vectors")
    facts = Facts("flat", plan.why, built_for=len(living), recall_at_10=1.0)
    return Built(rows, state.keys[living], np.ones(len(living), bool), state.sequence, None, facts)


def _check_budget(spec: IndexSpec, built: Built) -> None:
    assert built.structure is not None
    needed = built.rows.bytes + built.structure.bytes
    if spec.memory_bytes and needed > spec.memory_bytes:
        raise ResourceExhausted(
            "MEMORY_BUDGET",
            f"{built.facts.factory} over {len(built.keys)} vectors needs {needed >> 20} MiB, "
            f"the index may hold {spec.memory_bytes >> 20} MiB",
            hint="raise the index's memory, or choose kind auto or ivf_pq",
        )
