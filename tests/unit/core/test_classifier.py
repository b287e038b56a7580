"""Which heads are in memory, and how their answers become one."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from penult_server.core.classifier import LoadedHeads, check_fingerprint, leaves
from penult_server.core.errors import DataLoss, FailedPrecondition, NotFound
from penult_server.core.model_ports import ArtifactFile, ModelStore
from penult_server.core.models import Lineage, ModelKind, ModelReference, ModelVersion


class KnownHead:
    """Says always the same."""

    def __init__(self, answer: list[float]) -> None:
        self.answer = np.array(answer, np.float32)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        return np.tile(self.answer, (len(features), 1))


def version(name: str, number: int, *members: str, backbone: str = "b", size: int = 10) -> ModelVersion:
    lineage = Lineage("d", 1, 1, "", backbone, f"of {backbone}", "h", {})
    return ModelVersion(
        id=hash((name, number)), model=name, version=number, created_ms=0,
        kind=ModelKind.ENSEMBLE if members else ModelKind.HEAD, labels=("x", "y"), multi_label=False,
        threshold=None, lineage=None if members else lineage, members=members, metrics={}, aliases=(),
        artifact=f"{name}{number}", size_bytes=size,
    )  # fmt: skip


class Kept:
    """Implements what is used of ModelStore, Artifacts and Heads."""

    def __init__(self, *versions: ModelVersion) -> None:
        self.versions = {each.reference: each for each in versions}
        self.answers: dict[str, list[float]] = {}
        self.loads: list[str] = []
        self.slow = threading.Event()
        self.slow.set()

    def resolve(self, reference: ModelReference, *, evidence: bool = False) -> ModelVersion:
        if str(reference) not in self.versions:
            raise NotFound("MODEL_NOT_FOUND", "none")
        return self.versions[str(reference)]

    def open(self, name: str) -> Path:
        if name.startswith("bad"):
            raise DataLoss("MODEL_DAMAGED", "damaged")
        return Path(name)

    def files(self, name: str) -> Mapping[str, ArtifactFile]:
        return {"head.json": ArtifactFile(10, ""), "backbone.safetensors": ArtifactFile(9000, "")}

    def load(self, directory: Path) -> KnownHead:
        self.slow.wait(10)
        self.loads.append(directory.name)
        return KnownHead(self.answers.get(directory.name, [1, 0]))

    def validate(self, head: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return parameters

    def heads(self, max_bytes: int = 100) -> LoadedHeads:
        return LoadedHeads(cast(ModelStore, self), cast(Any, self), self, max_bytes)


def ref(text: str) -> ModelReference:
    return ModelReference.parse(text)


async def test_a_head_is_loaded_once_however_many_ask() -> None:
    kept = Kept(version("a", 1))
    kept.slow.clear()
    heads = kept.heads()
    asking = [asyncio.create_task(heads.classifier(ref("a@1"))) for _ in range(20)]
    await asyncio.sleep(0.05)
    asking[0].cancel()  # takes nothing away from the others
    kept.slow.set()
    done = await asyncio.gather(*asking[1:])
    assert kept.loads == ["a1"]
    assert len({id(each.parts[0].heads[0][0]) for each in done}) == 1


async def test_the_least_recently_used_goes_first() -> None:
    kept = Kept(*(version("a", n, size=40) for n in range(1, 5)))
    heads = kept.heads(max_bytes=100)
    for number in (1, 2, 1, 3, 1, 2):
        await heads.classifier(ref(f"a@{number}"))
    assert kept.loads == ["a1", "a2", "a3", "a2"]
    kept.versions["a@4"] = version("a", 4, size=1000)  # larger than the bound: it stays alone
    for _ in range(2):
        await heads.classifier(ref("a@4"))
    assert kept.loads[-1] == "a4"
    assert kept.loads.count("a4") == 1


async def test_the_backbone_of_a_fine_tuned_version_is_no_part_of_its_head() -> None:
    tuned = [dataclasses.replace(version("a", n, size=9010), kind=ModelKind.FINE_TUNED) for n in range(1, 4)]
    kept = Kept(*tuned)
    heads = kept.heads(max_bytes=100)
    for number in (1, 2, 3, 1, 2, 3):
        await heads.classifier(ref(f"a@{number}"))
    assert kept.loads == ["a1", "a2", "a3"]


async def test_the_same_name_and_number_made_again_is_another_head() -> None:
    kept = Kept(version("a", 1))
    heads = kept.heads()
    await heads.classifier(ref("a@1"))
    kept.versions["a@1"] = dataclasses.replace(version("a", 1), id=999, artifact="again")
    await heads.classifier(ref("a@1"))
    assert kept.loads == ["a1", "again"]


async def test_what_cannot_be_loaded_is_tried_again() -> None:
    kept = Kept(version("bad", 1))
    heads = kept.heads()
    for _ in range(2):
        with pytest.raises(DataLoss):
            await heads.classifier(ref("bad@1"))
    kept.versions["bad@1"] = dataclasses.replace(kept.versions["bad@1"], artifact="mended")
    await heads.classifier(ref("bad@1"))


async def test_members_share_the_answer_by_their_depth_and_features_by_their_backbone() -> None:
    kept = Kept(
        version("a", 1), version("b", 1, backbone="other"), version("c", 1),
        version("inner", 1, "b@1", "c@1"), version("outer", 1, "a@1", "inner@1"),
    )  # fmt: skip
    kept.answers = {"a1": [1, 0], "b1": [0, 1], "c1": [0.5, 0.5]}
    outer = await kept.heads().classifier(ref("outer@1"))
    shares = [leaf.share for leaf in leaves(outer.version, cast(ModelStore, kept))]
    assert shares == [0.5, 0.25, 0.25]
    assert [(part.backbone, len(part.heads)) for part in outer.parts] == [("b", 2), ("other", 1)]
    answer = outer.probabilities([np.zeros((3, 2), np.float32)] * 2)
    np.testing.assert_allclose(answer, [[0.625, 0.375]] * 3)
    assert answer.dtype == np.float32


def test_another_fingerprint_is_refused_and_both_are_named() -> None:
    check_fingerprint("a@1", "b", "1" * 64, "1" * 64)
    with pytest.raises(FailedPrecondition) as caught:
        check_fingerprint("a@1", "b", "1" * 64, "2" * 64)
    assert caught.value.reason == "FINGERPRINT_MISMATCH"
    assert "1" * 64 in caught.value.message
    assert "2" * 64 in caught.value.message
    assert caught.value.metadata == {"model_fingerprint": "1" * 64, "backbone_fingerprint": "2" * 64}
