from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penult
from penult._collect import Collector


def batch(rows: int, first: int = 0, fingerprint: str = "a") -> penult.FeatureBatch:
    features = np.arange(first, first + rows, dtype=np.float32)[:, None].repeat(3, axis=1)
    return penult.FeatureBatch(features, ("",) * rows, fingerprint, "b", (), first)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.none() | st.integers(0, 300))
def test_rows_arrive_in_order_whatever_was_expected(counts: list[int], expected: int | None) -> None:
    collector = Collector(expected, "raise")
    first = 0
    for count in counts:
        collector.add(batch(count, first))
        first += count
    result = collector.result()
    assert result.features[:, 2].tolist() == list(range(first))
    assert len(result.names) == first


def test_two_fingerprints_never_mix() -> None:
    collector = Collector(None, "raise")
    collector.add(batch(2))
    with pytest.raises(penult.Internal) as caught:
        collector.add(batch(2, 2, "other"))
    assert caught.value.reason == "FINGERPRINT_CHANGED"
