"""Groups of items that show the same: the same picture, or neighbours above a cosine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from penult_server.core.index_kinds import NO_KEY
from penult_server.core.indexes import Item

MAX_GROUPS = 500
MAX_SHOWN = 50


class Unions:
    """Disjoint sets of keys (Galler and Fischer 1964), with path halving."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, key: int) -> int:
        """The key that stands for its set."""
        parent = self._parent
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = parent[above]
            key = parent[key]
        return key

    def join(self, a: int, b: int) -> None:
        """Puts the sets of both together; the smaller key stands for it."""
        a, b = self.find(a), self.find(b)
        self._parent[max(a, b)] = min(a, b)

    def sets(self) -> list[list[int]]:
        """Those of two keys or more, each sorted."""
        found = defaultdict(list)
        for key in sorted(self._parent):
            found[self.find(key)].append(key)
        return [keys for keys in found.values() if len(keys) > 1]


class DuplicateGroups:
    """Takes items and what is near to them, some at a time, and says which belong together."""

    def __init__(self, threshold: float) -> None:
        """`threshold`: least cosine of near-duplicates."""
        self._threshold = threshold
        self._unions = Unions()
        self._items: dict[int, Item] = {}
        self._by_picture: dict[str, int] = {}
        self._cosine: dict[int, float] = {}  # largest of each key to another one above the threshold

    def add(self, items: Sequence[Item], keys: np.ndarray, cosines: np.ndarray) -> None:
        """Items, and the neighbours of each: keys int64 (N, k), NO_KEY for none, and cosines (N, k)."""
        for row, item in enumerate(items):
            self._items[item.key] = item
            if item.image_sha256:
                first = self._by_picture.setdefault(item.image_sha256, item.key)
                if first != item.key:
                    self._join(first, item.key, 1.0)
            for key, cosine in zip(keys[row].tolist(), cosines[row].tolist(), strict=True):
                if key != NO_KEY and cosine >= self._threshold:
                    self._join(item.key, key, cosine)

    def members(self) -> list[Item]:
        """The items that belong to a group."""
        return [self._items[key] for keys in self._unions.sets() for key in keys if key in self._items]

    def found(self, pictures: Mapping[int, str], *, with_images: bool) -> Mapping[str, Any]:
        """Fields of a NearDuplicates, as JSON: the counts of all groups, and the largest, exact ones first.

        Args:
            pictures: by key, what only the same picture has, where that is known.
            with_images: the pictures can be shown.
        """
        groups = sorted(
            self._groups(pictures, with_images), key=lambda group: (not group["exact"], -group["count"])
        )
        return {
            "threshold": self._threshold,
            "item_count": len(self._items),
            "group_count": len(groups),
            "redundant_count": sum(group["count"] - 1 for group in groups),
            "groups": groups[:MAX_GROUPS],
        }

    def _join(self, a: int, b: int, cosine: float) -> None:
        self._unions.join(a, b)
        for key in (a, b):
            self._cosine[key] = max(cosine, self._cosine.get(key, -1.0))

    def _groups(self, pictures: Mapping[int, str], with_images: bool) -> Iterator[dict[str, Any]]:
        for keys in self._unions.sets():
            # An item that came meanwhile was seen as a neighbour only.
            items = [self._items[key] for key in keys if key in self._items]
            if len(items) < 2:
                continue
            same = {pictures.get(item.key, "") for item in items}
            yield {
                "items": [
                    {
                        "id": item.id,
                        "image_sha256": item.image_sha256,
                        "metadata_json": item.metadata_json,
                        "cosine": min(1.0, self._cosine.get(item.key, 0.0)),
                        "has_image": with_images and bool(item.image_sha256),
                    }
                    for item in items[:MAX_SHOWN]
                ],
                "count": len(items),
                "exact": len(same) == 1 and "" not in same,
            }
