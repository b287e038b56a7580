"""Groups of pictures that are the same, exactly or nearly."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

MAX_DISTANCE = 3
"""Most bits in which the hashes of two near-duplicates differ."""
_BANDS = MAX_DISTANCE + 1
_BAND_BITS = 64 // _BANDS
_BLOCK = 1024


def same(keys: Sequence[Hashable | None]) -> list[list[int]]:
    """Positions that share a key, in groups of two and more; None shares with nothing."""
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        if key is not None:
            groups.setdefault(key, []).append(position)
    return [group for group in groups.values() if len(group) > 1]


def alike(looks: Sequence[int | None]) -> list[list[int]]:
    """Positions whose hashes are linked by steps of at most MAX_DISTANCE bits, in groups of two and more.

    By the pigeonhole principle two such hashes agree in one of four bands of 16 bits, so only those
    that share a band are compared: no pair is missed.
    """
    positions: dict[int, list[int]] = {}
    for position, look in enumerate(looks):
        if look is not None:
            positions.setdefault(look, []).append(position)
    hashes = np.fromiter(positions, np.uint64, len(positions))
    groups = _Groups(len(hashes))
    for band in range(_BANDS):
        shared = (hashes >> np.uint64(band * _BAND_BITS)) & np.uint64((1 << _BAND_BITS) - 1)
        order = np.argsort(shared, kind="stable")
        starts = np.flatnonzero(np.diff(shared[order])) + 1
        for bucket in np.split(order, starts):
            groups.join(_close_pairs(hashes, bucket))
    members = list(positions.values())
    joined = [sorted(p for number in group for p in members[number]) for group in groups.all()]
    return [group for group in joined if len(group) > 1]


def _close_pairs(hashes: np.ndarray, bucket: np.ndarray) -> Iterable[tuple[int, int]]:
    """Pairs of a bucket, compared a block of rows at a time so that memory stays bounded."""
    if len(bucket) < 2:
        return
    values = hashes[bucket]
    for start in range(0, len(bucket), _BLOCK):
        apart = _distances(values[start : start + _BLOCK], values)
        rows, columns = np.nonzero(apart <= MAX_DISTANCE)
        for row, column in zip(rows + start, columns, strict=True):
            if row < column:
                yield int(bucket[row]), int(bucket[column])


def _distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Differing bits between each of `some` and each of `others`."""
    differing = np.ascontiguousarray(some[:, None] ^ others[None, :])
    as_bytes = differing.view(np.uint8).reshape(*differing.shape, 8)
    return _ONES[as_bytes].sum(axis=-1, dtype=np.uint8)


_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


class _Groups:
    """Union-find over 0..count-1."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def join(self, pairs: Iterable[tuple[int, int]]) -> None:
        for one, other in pairs:
            self._parent[self._root(one)] = self._root(other)

    def all(self) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for item in range(len(self._parent)):
            groups.setdefault(self._root(item), []).append(item)
        return list(groups.values())

    def _root(self, item: int) -> int:
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item
