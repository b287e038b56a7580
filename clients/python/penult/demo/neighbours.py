"""Nearest neighbours by cosine, exact."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from penult.types import Features

Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclasses.dataclass(frozen=True)
class Neighbourhood:
    """A photo and its nearest ones: their positions and cosines, nearest first."""

    query: int
    neighbours: tuple[int, ...]
    cosines: tuple[float, ...]


def nearest(features: Features, queries: Positions, candidates: Positions, k: int) -> list[Neighbourhood]:
    """The `k` candidates nearest to each query, itself left out.

    Args:
        features: (N, dim).
        queries: positions in `features`.
        candidates: positions in `features`.
        k: fewer come back where there are fewer candidates.
    """
    unit = features.astype(np.float32) / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosines = unit[queries] @ unit[candidates].T
    found = []
    for query, row in zip(queries.tolist(), cosines, strict=True):
        order = [i for i in np.argsort(-row).tolist() if candidates[i] != query][:k]
        found.append(
            Neighbourhood(
                query, tuple(int(candidates[i]) for i in order), tuple(float(row[i]) for i in order)
            )
        )
    return found


def same_label_share(found: Sequence[Neighbourhood], labels: Sequence[str]) -> float:
    """Share of neighbours that carry the label of their query."""
    pairs = [labels[hood.query] == labels[other] for hood in found for other in hood.neighbours]
    return sum(pairs) / len(pairs)


def pick_queries(positions: Positions, labels: Sequence[str], count: int, seed: int) -> list[int]:
    """Positions in `positions` of up to `count`, drawn at random, every class in turn."""
    shuffled: list[int] = np.random.default_rng(seed).permutation(len(positions)).tolist()
    if not labels:
        return shuffled[:count]
    by_class: dict[str, list[int]] = {}
    for i in shuffled:
        by_class.setdefault(labels[int(positions[i])], []).append(i)
    rounds = [
        by_class[label][n] for n in range(count) for label in sorted(by_class) if n < len(by_class[label])
    ]
    return rounds[:count]
