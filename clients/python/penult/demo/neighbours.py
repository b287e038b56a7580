"""Nearest neighbours by cosine, from an index on the server."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

import penult
from penult.demo.photos import PhotoSet

INDEX = "photos"
Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclasses.dataclass(frozen=True)
class Neighbourhood:
    """A photo and its nearest ones: their positions and cosines, nearest first."""

    query: int
    neighbours: tuple[int, ...]
    cosines: tuple[float, ...]


def nearest(
    client: penult.Client,
    photo_set: PhotoSet,
    backbone: str,
    queries: Positions,
    candidates: Positions,
    k: int,
) -> list[Neighbourhood]:
    """The `k` candidates nearest to each query, itself left out, from an index on the server.

    Args:
        client: whose server gets the index.
        photo_set: the photos.
        backbone: whose features are compared.
        queries: positions of photos, either all among the candidates or none.
        candidates: positions of the photos that are put into the index.
        k: fewer come back where there are fewer candidates.
    """
    index = client.indexes.create(INDEX, backbone)
    index.add(
        [photo_set.paths[i] for i in candidates],
        ids=[str(i) for i in candidates],
        labels=[photo_set.labels[i] for i in candidates] if photo_set.labels else None,
        progress=True,
    )
    if np.isin(queries, candidates).all():
        found = index.search(id=[str(i) for i in queries], k=k)
    else:
        found = index.search([photo_set.paths[i] for i in queries], k=k)
    return [
        Neighbourhood(int(query), tuple(int(hit.id) for hit in hits), tuple(hit.score for hit in hits))
        for query, hits in zip(queries, found, strict=True)
    ]


def contact_sheet(client: penult.Client, count: int, seed: int) -> list[int]:
    """Positions of up to `count` photos of the index, drawn at random, each followed by the one most like it.

    A walk from photo to photo that always takes the nearest one that is left.
    """
    index = client.indexes.get(INDEX)
    ids = [item.id for item in index.items()]
    chosen = np.random.default_rng(seed).permutation(len(ids))[:count]
    vectors = index.vectors([ids[i] for i in chosen])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    walk, left = [0], set(range(1, len(chosen)))
    while left:
        walk.append(max(left, key=lambda other: cosines[walk[-1], other]))
        left.remove(walk[-1])
    return [int(ids[chosen[place]]) for place in walk]


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
