"""What `auto` would build, by size and memory."""

from __future__ import annotations

import pytest

from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.build import plans_for

FULL = 100_000 * 1280 * 4


@pytest.mark.parametrize(
    ("count", "memory", "factories"),
    [
        (0, 0, [""]),
        (10_000, 0, [""]),
        (100_000, 0, ["IVF1024,Flat", "HNSW32,Flat"]),
        (100_000, 2 * FULL, ["IVF1024,Flat", "HNSW32,Flat"]),
        (1_000_000, 0, ["IVF4096,Flat"]),
        (100_000, FULL // 2, ["IVF1024,SQ8"]),
        (100_000, FULL // 10, ["IVF1024,PQ80"]),
    ],
)
def test_the_plan_fits_size_and_memory(count: int, memory: int, factories: list[str]) -> None:
    plans = plans_for(IndexSpec(1280, memory_bytes=memory), count)
    assert [plan.factory for plan in plans] == factories
    assert all(plan.why for plan in plans)
