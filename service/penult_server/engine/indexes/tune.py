"""Raises the effort of a structure until its recall on held-out vectors is what was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

K = 10
MARGIN = 0.005
"""Recall beyond the goal, for the error of a sample."""

Recall = Callable[[int], float]


@dataclasses.dataclass(frozen=True, slots=True)
class Tuned:
    """An effort and the recall@10 it gives."""

    effort: int
    recall: float


def tune(recall: Recall, least: int, most: int, goal: float) -> Tuned:
    """The least effort, within a tenth, that reaches the goal; `most` where none does.

    Doubling first, then halving the gap: each trial costs a search, and recall rises with effort.
    """
    goal = min(1.0, goal + MARGIN)
    failed, effort = 0, least
    reached = recall(effort)
    while reached < goal and effort < most:
        failed, effort = effort, min(most, 2 * effort)
        reached = recall(effort)
    best = Tuned(effort, reached)
    if reached < goal or not failed:
        return best
    while best.effort - failed > max(1, best.effort // 10):
        middle = (failed + best.effort) // 2
        trial = recall(middle)
        if trial >= goal:
            best = Tuned(middle, trial)
        else:
            failed = middle
    return best


def share_found(truth: np.ndarray, found: np.ndarray) -> float:
    """Share of the exact nearest that were found, by goodness (Q, K), so that equal vectors do no harm."""
    slack = 1e-6 * np.maximum(1, np.abs(truth[:, -1:]))
    return float((found >= truth[:, -1:] - slack).mean())
