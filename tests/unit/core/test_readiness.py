from __future__ import annotations

import time

import pytest

from penult_server.core.backbone_pool import BackbonePool
from penult_server.core.errors import Unavailable
from penult_server.core.readiness import Readiness
from tests.unit.core.test_backbone_pool import Catalog, Loader


class Reports:
    def __init__(self) -> None:
        self.heard: list[tuple[bool, str]] = []

    async def __call__(self, ready: bool, why: str) -> None:
        self.heard.append((ready, why))


async def test_only_changes_are_reported() -> None:
    reports = Reports()
    readiness = Readiness(BackbonePool(Catalog(), Loader()), "a", interval=1, report=reports)
    assert [await readiness.check() for _ in range(3)] == [True] * 3
    assert reports.heard == [(True, "")]


async def test_a_load_that_fails_is_not_ready_and_recovers() -> None:
    reports, loader = Reports(), Loader()
    loader.fail = Unavailable("WEIGHTS_UNREACHABLE", "no network")
    readiness = Readiness(BackbonePool(Catalog(), loader), "a", interval=1, report=reports)
    assert not await readiness.check()
    loader.fail = None
    assert await readiness.check()
    assert reports.heard == [(False, "no network"), (True, "")]


async def test_wrong_features_a_lost_device_and_a_hang_are_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, reports = BackbonePool(Catalog(), Loader()), Reports()
    readiness = Readiness(pool, "a", interval=0.05, report=reports)
    async with pool.lease("a") as loaded:
        monkeypatch.setattr(loaded, "check", lambda: False)
        assert not await readiness.check()

        def lost() -> bool:
            raise RuntimeError("CUDA error: device lost")

        monkeypatch.setattr(loaded, "check", lost)
        assert not await readiness.check()
        monkeypatch.setattr(loaded, "check", lambda: time.sleep(0.3) or True)
        assert not await readiness.check()
        monkeypatch.setattr(loaded, "check", lambda: True)
        assert await readiness.check()
    assert [ready for ready, _ in reports.heard] == [False, True]
