"""Items of indexes for tests: tiny vectors under ids that tell them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from penult_server.core.index_kinds import IndexSpec
from penult_server.core.indexes import AddItems, AddMode, Candidate, IndexMaker

DIM = 4


def maker(*, dim: int = DIM, keeps_images: bool = False) -> IndexMaker:
    """An index of the caller's own vectors."""
    return IndexMaker(IndexSpec(dim), None, "", keeps_images)


def vector(seed: int, dim: int = DIM) -> np.ndarray:
    """Always the same for one seed, and never zero."""
    values: np.ndarray = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return values


def candidate(index: int, item_id: str, seed: int, metadata: str = "", image: bytes = b"") -> Candidate:
    """An item on its way in."""
    sha256 = hashlib.sha256(image).hexdigest() if image else ""
    return Candidate(index, item_id, metadata, vector(seed), sha256, image)


def adding(
    items: Sequence[Candidate], *, upsert: bool = False, request_id: str = "", first_index: int = 0
) -> AddItems:
    """One message."""
    mode = AddMode.UPSERT if upsert else AddMode.ADD
    return AddItems(first_index, len(items), items, [], mode, request_id)
