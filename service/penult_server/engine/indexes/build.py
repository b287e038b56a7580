"""From the state of an index to its next form, made aside while the index goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from penult_server.core.index_kinds import IndexSpec
from penult_server.core.index_ports import Report
from penult_server.engine.indexes.base import Plan, find
from penult_server.engine.indexes.exact import PIECE_ROWS
from penult_server.engine.indexes.rows import Rows
from penult_server.engine.indexes.state import State
from penult_server.engine.indexes.structure import Structure


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What was built, why, and what was measured. `built_for` is the number of vectors it was planned for."""

    kind: str
    why: str
    factory: str = ""
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


def plan_for(spec: IndexSpec, count: int) -> Plan:
    """What the spec's kind makes of so many vectors."""
    kind, chosen = find(spec)
    plan: Plan = kind.plan(spec, chosen, count)
    return plan


def empty(spec: IndexSpec) -> Built:
    """A new index."""
    plan = plan_for(spec, 0)
    return Built(
        Rows(spec.dim),
        np.empty(0, np.int64),
        np.empty(0, bool),
        0,
        None,
        Facts("flat", plan.why, recall_at_10=1.0),
    )


def build(spec: IndexSpec, state: State, folder: Path | None, report: Report) -> Built:
    """A form of the living rows that fits their number."""
    kept = np.flatnonzero(state.alive)
    plan = plan_for(spec, len(kept))
    rows = Rows(spec.dim)
    for first in range(0, len(kept), PIECE_ROWS):
        rows.append(state.rows.gather(kept[first : first + PIECE_ROWS]))
        report(min(1.0, (first + PIECE_ROWS) / len(kept)), "copying vectors")
    facts = Facts(plan.kind, plan.why, built_for=len(kept), recall_at_10=1.0)
    return Built(rows, state.keys[kept], np.ones(len(kept), bool), state.sequence, None, facts)


def carry_over(built: Built, before: State, now: State, sealed: int) -> Built:
    """The new form with what was written since `before`, whose rows end at `sealed`."""
    kept = np.flatnonzero(before.alive)
    built.rows.adopt(now.rows, sealed)
    return dataclasses.replace(
        built,
        keys=np.concatenate([built.keys, now.keys[sealed:]]),
        alive=np.concatenate([now.alive[kept], now.alive[sealed:]]),
        sequence=now.sequence,
    )
