from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.indexes import Item
from penult_server.core.item_lookup import ItemLookup
from penult_server.core.search_index import _order_of_ties


@given(st.lists(st.lists(st.tuples(st.sampled_from([0.25, 0.5, 1.0]), st.text(max_size=3)), max_size=6)))
def test_equal_scores_of_a_query_come_by_id(queries: list[list[tuple[float, str]]]) -> None:
    ranked = [sorted(hits, key=lambda hit: -hit[0]) for hits in queries]  # ids in any order
    flat = [hit for hits in ranked for hit in hits]
    scores, ids = np.asarray([hit[0] for hit in flat], np.float32), [hit[1] for hit in flat]
    order = _order_of_ties(np.asarray([len(hits) for hits in ranked], np.int64), scores, ids)
    found = flat if order is None else [flat[place] for place in order]
    assert found == [hit for hits in queries for hit in sorted(hits, key=lambda hit: (-hit[0], hit[1]))]


class Store:
    """Items by key, counting what is read."""

    def __init__(self) -> None:
        self.items = {key: Item(key, str(key), "", "", 1) for key in range(50)}
        self.read: list[int] = []

    def by_keys(self, index_id: int, keys: list[int]) -> dict[int, Item]:
        self.read += keys
        return {key: self.items[key] for key in keys if key in self.items}


def test_items_are_read_once_and_again_when_they_changed() -> None:
    store = Store()
    lookup = ItemLookup(store, 1, most=40)  # type: ignore[arg-type]
    assert [item.key for item in lookup.items([3, 1, 3]) or ()] == [3, 1, 3]
    assert lookup.items([1, 3, 2]) is not None
    assert store.read == [1, 3, 2]
    del store.items[3]
    lookup.forget([3])
    assert lookup.items([1, 3]) is None
    lookup.forget([])
    keys = random.Random(0).sample(sorted(store.items), 45)
    assert [item.key for item in lookup.items(keys) or ()] == keys
