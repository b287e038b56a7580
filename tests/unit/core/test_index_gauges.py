from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penult_server.core import index_gauges
from penult_server.core.errors import Unavailable
from penult_server.core.index_gauges import watch_indexes
from penult_server.core.index_kinds import IndexState
from penult_server.core.indexes import IndexPhase
from penult_server.core.open_indexes import OpenIndexes
from tests.unit.core.test_gauges import Readings


class Asked:
    """An index that counts how often it is asked."""

    phase, unsaved, saved_at = IndexPhase.READY, 0, 0.0

    def __init__(self) -> None:
        self.times = 0
        self.count = 3
        self.vectors: Any = self

    def describe(self) -> IndexState:
        self.times += 1
        return cast(
            IndexState,
            SimpleNamespace(kind="flat", count=self.count, bytes=80, pending=2, tombstones=self.count - 3),
        )


class Loading(Asked):
    def describe(self) -> IndexState:
        raise Unavailable("INDEX_LOADING", "soon", hint="wait")


def scrape(meter: Readings) -> dict[str, Any]:
    return {name: read() for name, read in meter.read.items()}


def test_an_index_is_asked_once_for_all_figures_of_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_gauges, "_SCRAPE_SECONDS", 60.0)
    index, meter = Asked(), Readings()
    watch_indexes(meter, cast(OpenIndexes, SimpleNamespace(all=lambda: [index, Loading()])))
    index.times, index.count = 0, 5
    found = scrape(meter)
    assert index.times == 1
    assert found["penult_index_items"] == {"flat": 5}
    assert found["penult_index_tombstones"] == {"flat": 2}
    index.count = 7
    assert scrape(meter)["penult_index_items"] == {"flat": 7}
    assert index.times == 2


def test_a_figure_that_is_read_alone_is_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_gauges, "_SCRAPE_SECONDS", -1.0)
    index, meter = Asked(), Readings()
    watch_indexes(meter, cast(OpenIndexes, SimpleNamespace(all=lambda: [index])))
    index.count = 9
    items = meter.read["penult_index_items"]()
    assert isinstance(items, Mapping)
    assert items == {"flat": 9}
    assert meter.read["penult_index_tombstones"]() == {"flat": 6}
