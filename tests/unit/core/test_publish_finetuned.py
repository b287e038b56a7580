"""What becomes of a fine-tuning's result: over a store and files that only note what they are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from penult_server.core.datasets import Split
from penult_server.core.model_ports import Artifacts, ModelStore
from penult_server.core.models import ModelKind, NewVersion
from penult_server.core.publish_finetuned import PublishFineTuned
from penult_server.core.snapshot import content_sha256
from tests.evidence import EVIDENCE
from tests.finetune_lab import write_snapshot


class House:
    """Implements what publishing needs of stores and the engine."""

    def __init__(self) -> None:
        self.added: dict[str, Path] = {}

    def publish(self, name: str, job_id: str, make: Callable[[], NewVersion]) -> Any:
        self.new = make()
        return self.new

    def add(self, name: str, source: Path) -> int:
        self.added[name] = source
        return 7

    def fingerprint(self, directory: Path) -> str:
        return f"fingerprint of {directory.name}"


def published(tmp_path: Path, *, kept: list[str], ensemble: bool) -> tuple[House, NewVersion]:
    write_snapshot(tmp_path, [(b"a", "boot", Split.TRAIN), (b"b", "shoe", Split.TRAIN)])
    evidence = dataclasses.asdict(EVIDENCE)
    result: dict[str, Any] = {
        "labels": ["boot", "shoe"],
        "multi_label": False,
        "threshold": None,
        "evidence": evidence,
        "kept": [{"variant": variant, "threshold": 0.5, "evidence": evidence} for variant in kept],
        "ensemble": evidence if ensemble else None,
        "finetune": {
            "settings": {"epochs": 3, "learning_rate": "default"},
            "learning_rate": 0.25,
            "variant": "ema",
            "lineage": {"backbone": "models/old@2", "backbone_weights_sha256": "0" * 64},
        },
    }
    house = House()
    publisher = PublishFineTuned(cast(ModelStore, house), cast(Artifacts, house), house, code_version="1.2")
    publisher.publish("boots", "job-9", tmp_path, result, "old@2")
    return house, house.new


def test_a_version_says_where_it_comes_from(tmp_path: Path) -> None:
    house, new = published(tmp_path, kept=[], ensemble=False)
    assert house.added == {"job-9": tmp_path / "model"}
    assert (new.kind, new.artifact, new.size_bytes, new.beside) == (ModelKind.FINE_TUNED, "job-9", 7, ())
    lineage = new.lineage
    assert lineage is not None
    assert (lineage.dataset, lineage.dataset_revision, lineage.example_count) == ("shapes", 3, 2)
    assert lineage.dataset_sha256 == content_sha256(tmp_path)
    assert lineage.fingerprint == "fingerprint of model"
    assert (lineage.start_backbone, lineage.parent, lineage.variant) == ("models/old@2", "old@2", "ema")
    assert lineage.parameters == {"epochs": 3, "learning_rate": 0.25}
    assert (lineage.job, lineage.code_version) == ("job-9", "1.2")
    assert new.evidence == EVIDENCE


@pytest.mark.parametrize("ensemble", [False, True])
def test_what_is_kept_comes_beside_it(tmp_path: Path, ensemble: bool) -> None:
    house, new = published(tmp_path, kept=["snapshot-1", "plain", "snapshot-2"], ensemble=ensemble)
    kept = ("snapshot-1", "plain", "snapshot-2")
    assert house.added == {
        **{f"job-9.{variant}": tmp_path / "kept" / variant for variant in kept}, "job-9": tmp_path / "model",
    }  # fmt: skip
    variants = [each.lineage.variant for each in new.beside if each.lineage]
    assert [each.threshold for each in new.beside[:3]] == [0.5] * 3
    if ensemble:
        assert variants == [*kept, "ema"]
        assert (new.kind, new.averaged, new.artifact) == (ModelKind.ENSEMBLE, (0, 2), "")
        assert (new.labels, new.evidence) == (("boot", "shoe"), EVIDENCE)
    else:
        assert variants == [*kept]
        assert (new.kind, new.averaged) == (ModelKind.FINE_TUNED, ())
