"""What searches look up of items again and again, kept in memory until it changes."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable, Sequence
from typing import cast

from penult_server.core.filters import Filter, show
from penult_server.core.index_store_ports import ItemStore, Matching
from penult_server.core.indexes import Item

_ITEMS = 200_000
_FILTERS = 32


class ItemLookup:
    """Items by key, and keys by filter, of one index. Blocking, and safe to use from several threads.

    An answer that was read before a change and arrives after it is given, but not kept.
    """

    def __init__(self, items: ItemStore, index_id: int, *, most: int = _ITEMS) -> None:
        """Keeps up to `most` items."""
        self._store = items
        self._index_id = index_id
        self._most = most
        self._lock = threading.Lock()
        self._generation = 0
        self._items: dict[int, Item] = {}
        self._filters: collections.OrderedDict[str, Matching] = collections.OrderedDict()

    def items(self, keys: Sequence[int]) -> list[Item] | None:
        """One for each key, which may repeat; None where one is gone."""
        generation = self._generation
        found = list(map(self._items.get, keys))
        if all(found):
            return cast("list[Item]", found)
        missing = {key for key, item in zip(keys, found, strict=True) if item is None}
        read = self._store.by_keys(self._index_id, sorted(missing))
        with self._lock:
            if generation == self._generation:
                if len(self._items) + len(read) > self._most:
                    self._items = {}
                self._items.update(read)
        if len(read) < len(missing):
            return None
        return [item or read[key] for key, item in zip(keys, found, strict=True)]

    def matching(self, wanted: Filter) -> Matching:
        """Keys of the items that match, after all writes that are acknowledged now."""
        name = show(wanted)  # not the filter itself: 1 and true are equal in Python
        with self._lock:
            known = self._filters.get(name)
        found = self._store.matching(self._index_id, wanted, known)
        with self._lock:
            self._filters[name] = found
            self._filters.move_to_end(name)
            while len(self._filters) > _FILTERS:
                self._filters.popitem(last=False)
        return found

    def forget(self, keys: Iterable[int]) -> None:
        """These have changed."""
        with self._lock:
            self._generation += 1
            for key in keys:
                self._items.pop(key, None)
