from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penult_server.engine.analysis.duplicates import MAX_DISTANCE, alike, same

hashes = st.integers(0, 2**64 - 1)


def by_hand(looks: list[int | None]) -> list[list[int]]:
    """Every pair, one at a time."""
    group = list(range(len(looks)))
    for one, first in enumerate(looks):
        for other, second in enumerate(looks):
            if first is not None and second is not None and (first ^ second).bit_count() <= MAX_DISTANCE:
                old, new = group[one], group[other]
                group = [new if member == old else member for member in group]
    found = [[n for n, member in enumerate(group) if member == name] for name in set(group)]
    return sorted(members for members in found if len(members) > 1)


@given(st.lists(st.one_of(st.none(), hashes), max_size=12), st.data())
def test_banding_finds_what_comparing_every_pair_finds(looks: list[int | None], data: st.DataObject) -> None:
    for look in [look for look in looks if look is not None][:6]:
        flips = data.draw(st.lists(st.integers(0, 63), max_size=5))
        for bit in flips:
            look ^= 1 << bit
        looks.append(look)
    assert sorted(alike(looks)) == by_hand(looks)


def test_many_that_share_a_band_are_compared_in_blocks() -> None:
    random = np.random.default_rng(0)
    looks: list[int | None] = [int(value) << 16 for value in random.integers(0, 2**48, 3000)]
    looks += [int(looks[7] or 0) ^ 1, looks[9]]
    assert sorted(alike(looks)) == [[7, 3000], [9, 3001]]


def test_same_leaves_out_what_has_no_key() -> None:
    assert same(["a", None, "b", "a", None]) == [[0, 3]]
