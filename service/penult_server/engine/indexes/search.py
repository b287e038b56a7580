"""Search over one state: the structure proposes, exact scores decide, filters hold whatever their share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from penult_server.core.index_kinds import Metric
from penult_server.engine.indexes import exact
from penult_server.engine.indexes.exact import NOTHING
from penult_server.engine.indexes.state import State

# Candidates beyond k, for rows that died, equal scores at the end of the list, and a structure's own errors.
_SPARE = 8
# The same where scores are exact and no row died.
_SPARE_FOR_TIES = 2
# Difference up to which scores of different loops may be those of equal vectors: of cosines, whose terms
# are no larger than 1, and relative for the others.
_COSINE_ROUNDING, _ROUNDING = 1e-6, 2e-6
# Most candidates that are looked at to put equal scores at the end of the list in order.
_MOST_FOR_TIES = 2048
# Up to so many allowed rows, or this share of all, a scan costs less than a structure that skips the rest.
_SCAN_ROWS = 20_000
_SCAN_SHARE = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for: float32 (Q, dim) prepared queries, and k.

    `allowed` holds the living rows that may be found, rising, or is None for all of them; `excluded`
    the rows that each query must not find, or is empty. `threads` may share the search out.
    """

    queries: np.ndarray
    k: int
    allowed: np.ndarray | None = None
    excluded: Sequence[np.ndarray] = ()
    threads: int = 1

    def only(self, chosen: np.ndarray) -> Wanted:
        """The same for some of the queries, by their positions, rising."""
        if len(chosen) == len(self.queries):
            return self
        excluded = [self.excluded[number] for number in chosen] if self.excluded else ()
        return dataclasses.replace(self, queries=self.queries[chosen], excluded=excluded)

    def candidates(self, spare: int) -> int:
        """How many to ask for, so that `spare` are left beyond k without those that are excluded."""
        return self.k + spare + max(map(len, self.excluded), default=0)


def search(state: State, wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    """The k best rows for each query, equal ones by key, and their goodness; NOTHING ends short lists."""
    eligible = state.count if wanted.allowed is None else len(wanted.allowed)
    if not eligible or not len(wanted.queries):
        shape = (len(wanted.queries), wanted.k)
        return np.full(shape, NOTHING, np.int64), np.full(shape, -np.inf, np.float32)
    few = wanted.allowed is not None and eligible <= max(_SCAN_ROWS, _SCAN_SHARE * state.count)
    if state.structure is None or few:
        return search_exactly(state, wanted)
    return _search_structure(state, wanted)


def search_exactly(state: State, wanted: Wanted, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Like `search`, by comparing with every row from `first` on."""
    chosen = wanted.allowed
    if chosen is not None:
        chosen = chosen[np.searchsorted(chosen, first) :]
    total = state.rows.count - first if chosen is None else len(chosen)
    living = total if chosen is not None or not state.dead else int(np.count_nonzero(state.alive[first:]))
    if not living:
        shape = (len(wanted.queries), wanted.k)
        return np.full(shape, NOTHING, np.int64), np.full(shape, -np.inf, np.float32)
    ask = wanted.candidates(_SPARE if state.dead else _SPARE_FOR_TIES)
    found, good, last = _scan(state, wanted, first, chosen, ask)
    todo = np.arange(len(wanted.queries))
    while ask < total and (tied := _close(state.metric, good[todo, -1], last)).any():
        short = found[todo, min(wanted.k, living) - 1] == NOTHING
        todo = todo[short | tied if ask < _MOST_FOR_TIES else short]
        if not len(todo):
            break
        if chosen is None and short.any():  # the nearest rows are dead: look only at the living
            chosen = first + np.flatnonzero(state.alive[first:])
            total = len(chosen)
        else:
            ask *= 8
        found[todo], good[todo], last = _scan(state, wanted.only(todo), first, chosen, ask)
    return found, good


def _scan(
    state: State, wanted: Wanted, first: int, chosen: np.ndarray | None, ask: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k best of the `ask` nearest rows, with goodness, and that of the worst of these rows."""
    searched = range(first, state.rows.count) if chosen is None else chosen
    k = min(ask, len(searched))
    candidates, known = exact.nearest(wanted.queries, state.rows, searched, k, state.metric, wanted.threads)
    if state.metric != "cosine":  # matrix products give cosines to the last bits, but distances not so
        known = exact.goodness(wanted.queries, state.rows, candidates, state.metric)
        return *_rank(state, wanted, candidates, known), known.min(axis=1)
    return *_rank(state, wanted, candidates, known, rounded=True), known[:, -1]


def _search_structure(state: State, wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    structure = state.structure
    assert structure is not None
    fresh = search_exactly(state, wanted, structure.size) if state.rows.count > structure.size else None
    may = state.alive[: structure.size]
    if wanted.allowed is not None:
        may = np.zeros(structure.size, bool)
        may[wanted.allowed[: np.searchsorted(wanted.allowed, structure.size)]] = True
    whole = wanted.allowed is None and not state.dead
    enough = min(wanted.k, structure.size if whole else int(np.count_nonzero(may)))
    everything = np.arange(len(wanted.queries))
    found = np.full((len(everything), wanted.k), NOTHING, np.int64)
    good = np.full(found.shape, -np.inf, np.float32)
    todo = everything
    # First without a selector, which slows FAISS down, then with one, then exactly.
    for selected in (False, True) if wanted.allowed is None else (True,):
        part = wanted.only(todo)
        candidates, distances = structure.candidates(
            part.queries, wanted.candidates(_SPARE), may if selected else None, wanted.threads
        )
        if structure.exact_scores:
            known = -distances if state.metric == "l2" else distances
        else:
            known = exact.goodness(part.queries, state.rows, candidates, state.metric)
        found[todo], good[todo] = _rank(state, part, candidates, known, rounded=structure.exact_scores)
        todo = todo[found[todo, enough - 1] == NOTHING] if enough else todo[:0]
        if not len(todo):
            break
    if fresh is not None:
        both, known = np.hstack([found, fresh[0]]), np.hstack([good, fresh[1]])
        found, good = _rank(state, wanted, both, known, rounded=True)
    if len(todo):
        found[todo], good[todo] = search_exactly(state, wanted.only(todo))
    return found, good


def _rank(
    state: State, wanted: Wanted, candidates: np.ndarray, known: np.ndarray, *, rounded: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of candidates (Q, C) that may be found, with their goodness, which is `known`.

    If that is `rounded`, its last bits may differ between equal vectors.
    """
    if state.dead or len(wanted.excluded) or candidates.min(initial=0) < 0:
        barred = (candidates < 0) | ~state.alive[candidates]
        for number, rows in enumerate(wanted.excluded):
            if len(rows):
                barred[number] |= np.isin(candidates[number], rows)
        candidates = np.where(barred, NOTHING, candidates)
        known = np.where(barred, -np.inf, known)
    if not rounded:
        return _sorted(state, candidates, known, wanted.k)
    # One more than asked for: where that one is as good as the last, the key decides which is left out.
    found, good = _sorted(state, candidates, known, wanted.k + 1)
    close = np.flatnonzero(_close(state.metric, good[:, :-1], good[:, 1:]).any(axis=1))
    if len(close):  # only one formula for all of them tells equal from nearly equal
        again = exact.goodness(wanted.queries[close], state.rows, candidates[close], state.metric)
        found[close], good[close] = _sorted(state, candidates[close], again, wanted.k + 1)
    return found[:, :-1], good[:, :-1]


def _sorted(state: State, rows: np.ndarray, good: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best columns of each query, equal ones by key, filled up with NOTHING."""
    if rows.shape[1] >= k and (good[:, 1:] < good[:, :-1]).all():
        return rows[:, :k].copy(), good[:, :k].copy()
    order = np.lexsort((state.keys[rows], -good), axis=-1)[:, :k]
    found = np.full((len(rows), k), NOTHING, np.int64)
    best = np.full(found.shape, -np.inf, np.float32)
    found[:, : order.shape[1]] = np.take_along_axis(rows, order, 1)
    best[:, : order.shape[1]] = np.take_along_axis(good, order, 1)
    return found, best


def _close(metric: Metric, better: np.ndarray, worse: np.ndarray) -> np.ndarray:
    """Where two goodnesses, the second no larger, are equal but for rounding; or the first is none."""
    near = _COSINE_ROUNDING if metric == "cosine" else _ROUNDING * np.maximum(1e-30, np.abs(worse))
    with np.errstate(invalid="ignore"):  # nothing after nothing
        return better - worse <= near
