"""What searches look up of items again and again, kept in memory until it changes."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable, Mapping, Sequence

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

    def items(self, keys: Sequence[int]) -> Mapping[int, Item]:
        """Those that there are."""
        known = self._items
        found = {key: item for key in keys if (item := known.get(key)) is not None}
        if len(found) == len(keys):
            return found
        generation = self._generation
        read = self._store.by_keys(self._index_id, [key for key in keys if key not in found])
        with self._lock:
            if generation == self._generation:
                if len(self._items) + len(read) > self._most:
                    self._items = {}
                self._items.update(read)
        return {**found, **read}

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
