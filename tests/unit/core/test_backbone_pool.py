"""The pool over a catalog and a loader that do nothing but count: what is tested is who loads when."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from penult_server.core.backbone_pool import BackbonePool
from penult_server.core.backbones import (
    BackboneFacts,
    BackboneSource,
    BackboneState,
    BackboneSummary,
    LoadReport,
)
from penult_server.core.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from penult_server.core.features import OutputSpec
from penult_server.core.preprocess import Preprocess

MIB = 1 << 20
PREPROCESS = Preprocess((8, 8), (8, 8), "center", "bilinear", (0.0,) * 3, (1.0,) * 3)


@dataclasses.dataclass
class Loaded:
    facts: BackboneFacts
    report: LoadReport
    closed: bool = False

    def dim(self, output: OutputSpec) -> int:
        return self.facts.dim

    def check(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


class Catalog:
    """`a1` and `a` are the same backbone; every backbone has a million parameters."""

    revision = "job-1"
    """Of the backbone that names of a model mean now."""

    def summaries(self) -> Sequence[BackboneSummary]:
        return []

    def describe(self, name: str) -> BackboneFacts:
        if name == "unknown":
            raise NotFound("BACKBONE_UNKNOWN", "no such backbone")
        if name.startswith("models/"):
            own, revision = "models/x@1", self.revision
            return BackboneFacts(
                own, "a", BackboneSource.FINE_TUNED, 4, PREPROCESS, "mit", 1_000_000, (), revision
            )
        name = "a" if name == "a1" else name
        return BackboneFacts(name, name, BackboneSource.BUNDLED, 4, PREPROCESS, "mit", 1_000_000, ())

    def check_checkpoint(self, path: Path, architecture: str) -> None:
        raise AssertionError


class Loader:
    def __init__(self, budget_mib: int = 1000) -> None:
        self.budget = budget_mib * MIB
        self.loads: list[str] = []
        self.fail: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def load(self, facts: BackboneFacts) -> Loaded:
        self.gate.wait(5)
        self.loads.append(facts.name)
        if self.fail:
            raise self.fail
        return Loaded(facts, LoadReport("cpu", "torch", 1.0, "", 4 * MIB, "00", ""))

    def memory_budget(self) -> int:
        return self.budget


async def use(pool: BackbonePool, name: str) -> Loaded:
    async with pool.lease(name) as loaded:
        assert isinstance(loaded, Loaded)
        assert not loaded.closed
        return loaded


async def test_a_name_that_comes_to_mean_another_backbone_is_loaded_anew() -> None:
    loader, catalog = Loader(budget_mib=15), Catalog()
    pool = BackbonePool(catalog, loader)
    async with pool.lease("models/x") as first:
        async with pool.lease("models/x@1") as same:
            assert same is first
        catalog.revision = "job-2"
        with pytest.raises(ResourceExhausted, match=r"in use \(models/x@1\)"):
            await use(pool, "models/x")
        loader.budget = 1000 * MIB
        async with pool.lease("models/x") as second:
            assert second is not first
        assert pool.view()["models/x@1"].loaded is second
        with pytest.raises(FailedPrecondition):
            await pool.unload("models/x@1")
    await pool.unload("models/x@1")
    assert pool.view()["models/x@1"].state is BackboneState.AVAILABLE
    assert loader.loads == ["models/x@1"] * 2


async def test_many_askers_load_once() -> None:
    loader = Loader()
    loader.gate.clear()
    pool = BackbonePool(Catalog(), loader)
    asking = [asyncio.create_task(use(pool, "a")) for _ in range(20)]
    await asyncio.sleep(0.05)
    assert pool.view()["a"].state is BackboneState.LOADING
    loader.gate.set()
    assert len({id(loaded) for loaded in await asyncio.gather(*asking)}) == 1
    assert loader.loads == ["a"]
    assert pool.view()["a"].state is BackboneState.READY


async def test_two_names_of_one_backbone_share_it() -> None:
    loader = Loader()
    pool = BackbonePool(Catalog(), loader)
    assert await use(pool, "a") is await use(pool, "a1")


async def test_an_asker_that_gives_up_does_not_stop_the_load() -> None:
    loader = Loader()
    loader.gate.clear()
    pool = BackbonePool(Catalog(), loader)
    first, second = (asyncio.create_task(use(pool, "a")) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0)
    loader.gate.set()
    await second
    assert loader.loads == ["a"]


async def test_the_least_recently_used_goes_when_memory_is_short() -> None:
    loader = Loader(budget_mib=17)  # two residents of 4 MiB and one more load of about 11.4
    pool = BackbonePool(Catalog(), loader)
    a = await use(pool, "a")
    b = await use(pool, "b")
    await use(pool, "a")
    await use(pool, "c")
    assert b.closed
    assert not a.closed
    assert pool.view()["b"].state is BackboneState.AVAILABLE
    assert not (await use(pool, "b")).closed


async def test_what_is_in_use_is_never_evicted() -> None:
    pool = BackbonePool(Catalog(), Loader(budget_mib=12))
    async with pool.lease("a") as a:
        with pytest.raises(ResourceExhausted) as caught:
            await use(pool, "b")
        assert isinstance(a, Loaded)
        assert not a.closed
    assert caught.value.reason == "BACKBONE_MEMORY"
    assert caught.value.retry_after is not None
    await use(pool, "b")
    assert a.closed


async def test_a_failed_load_is_told_and_can_be_tried_again() -> None:
    loader = Loader()
    loader.fail = Unavailable("WEIGHTS_UNREACHABLE", "no network")
    pool = BackbonePool(Catalog(), loader)
    with pytest.raises(Unavailable):
        await use(pool, "a")
    assert pool.view()["a"].state is BackboneState.FAILED
    assert pool.view()["a"].error == "no network"
    loader.fail = None
    await use(pool, "a")
    assert pool.view()["a"].state is BackboneState.READY
    assert pool.view()["a"].error == ""


async def test_a_wrong_name_leaves_nothing_behind() -> None:
    pool = BackbonePool(Catalog(), Loader())
    with pytest.raises(NotFound):
        await use(pool, "unknown")
    assert not pool.view()


async def test_unload_frees_and_refuses_while_in_use() -> None:
    pool = BackbonePool(Catalog(), Loader())
    async with pool.lease("a") as loaded:
        with pytest.raises(FailedPrecondition) as caught:
            await pool.unload("a")
        assert caught.value.reason == "BACKBONE_IN_USE"
    await pool.unload("a")
    assert isinstance(loaded, Loaded)
    assert loaded.closed
    await pool.unload("a")  # a second time changes nothing
