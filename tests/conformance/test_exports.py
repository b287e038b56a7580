"""Every export format says what the model says, for every family of backbones that it can hold."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors
import torch

from penult_server.core.backbones import BackboneFacts, BackboneSource
from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.engine.backbones.architecture import anatomy
from penult_server.engine.backbones.catalog import BuiltBackbone, Catalog
from penult_server.engine.backbones.local_file import find_architecture
from penult_server.engine.backbones.network import Network
from penult_server.engine.exports.base import Exported, export_formats, find
from penult_server.engine.heads.data import TrainingData
from penult_server.engine.heads.registry import head_kinds
from penult_server.engine.heads.train import train_head
from penult_server.engine.probe_pictures import probe_pictures
from tests.head_data import Silent

FAMILIES = ("resnet18", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "convnext_atto",
            "torchvision.mobilenet_v3_small")  # fmt: skip
FORMATS = export_formats()


def random_backbone(name: str) -> BuiltBackbone:
    """A backbone with random weights: what a format does with them is the same."""
    torch.manual_seed(0)
    architecture = find_architecture(name)
    network = Network(architecture.trunk(), architecture.preprocess, anatomy(architecture))
    facts = BackboneFacts(
        name, architecture.name, BackboneSource.TIMM, network.anatomy.dim, architecture.preprocess, "", 0, ()
    )
    return BuiltBackbone(facts, network.requires_grad_(False), "", architecture.key)


@functools.cache
def shared_lite0() -> BuiltBackbone:
    return Catalog(None, None, allow_download=False).build("tf_efficientnet_lite0")


@pytest.fixture
def lite0() -> BuiltBackbone:
    return shared_lite0()


@functools.lru_cache(maxsize=2)
def features_of(network: Network, size: tuple[int, int]) -> np.ndarray:
    """Of the probe pictures, and of noise after them."""
    noise = np.random.default_rng(0).integers(0, 256, (4, *size, 3), np.uint8)
    with torch.inference_mode():
        return network(torch.from_numpy(np.concatenate([probe_pictures(size), noise]))).numpy()


def model(
    built: BuiltBackbone, kind: str = "nearest_centroid", *, multi_label: bool = False, **parameters: Any
) -> Exported:
    """A head on what the backbone says of the probe pictures and of noise."""
    features = features_of(built.network, built.facts.preprocess.input_size)
    targets: np.ndarray = np.arange(12) // 4  # two photographs, and noise
    if multi_label:
        targets = np.stack([targets == 0, targets > 0, targets < 2], axis=1)
    data = TrainingData(
        features[:, None], targets, ("ant", "bee", "cow"), ["train"] * 12, [str(n) for n in range(12)]
    )
    trained = train_head(data, kind, {"folds": 2, "learning_curve": False, **parameters}, Silent())
    card = {
        "name": "insects",
        "version": 3,
        "labels": list(trained.head.classes),
        "preprocess": {"mean": [0.5]},
    }
    return Exported(built, trained.head, card)


def check(format_name: str, exported: Exported, folder: Path) -> Path:
    """Writes, reads back and compares with the head on the network's own features."""
    kind = find(format_name)
    file = folder / f"model{kind.suffix}"
    kind.write(exported, file)
    size = exported.built.facts.preprocess.input_size
    pictures = probe_pictures(size)
    features = features_of(exported.built.network, size)[: len(pictures)]
    expected = exported.head.probabilities(features)
    said = kind.run(exported, file, pictures)
    assert said.dtype == np.float32
    assert np.abs(said - expected).max() < kind.tolerance
    assert np.ptp(expected, axis=0).max() > 0.02, "a constant answer would prove nothing"
    return file


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("multi_label", [False, True], ids=["single", "multi"])
@pytest.mark.parametrize("normalisation", ["l2", "standardize", "none"])
def test_a_format_says_what_the_model_says_or_refuses(
    lite0: BuiltBackbone, format_name: str, multi_label: bool, normalisation: str, tmp_path: Path
) -> None:
    exported = model(lite0, multi_label=multi_label, normalisation=normalisation)
    if format_name == "checkpoint" and normalisation == "l2":
        with pytest.raises(FailedPrecondition) as refused:
            check(format_name, exported, tmp_path)
        assert refused.value.reason == "EXPORT_NOT_LINEAR"
        assert "standardize" in refused.value.hint
    else:
        check(format_name, exported, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in head_kinds() if kind != "nearest_centroid"])
@pytest.mark.parametrize("format_name", ["arrays", "onnx"])
def test_every_kind_of_head_can_be_exported(
    lite0: BuiltBackbone, format_name: str, kind: str, tmp_path: Path
) -> None:
    check(format_name, model(lite0, kind), tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_what_the_library_itself_loads(family: str, tmp_path: Path) -> None:
    exported = model(random_backbone(family), normalisation="standardize")
    file = check("checkpoint", exported, tmp_path)
    with safetensors.safe_open(file, "np") as opened:
        assert json.loads(opened.metadata()["penult"]) == exported.card


def test_a_network_that_changes_scores_after_its_last_layer_is_refused(tmp_path: Path) -> None:
    exported = model(random_backbone("torchvision.squeezenet1_1"), normalisation="standardize")
    with pytest.raises(FailedPrecondition) as refused:
        find("checkpoint").write(exported, tmp_path / "file")
    assert refused.value.reason == "EXPORT_UNSUPPORTED"


def test_an_onnx_file_explains_itself_and_takes_any_number_of_pictures(
    lite0: BuiltBackbone, tmp_path: Path
) -> None:
    exported = model(lite0)
    file = check("onnx", exported, tmp_path)
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(str(file)).metadata_props}
    assert properties == {
        "labels": ["ant", "bee", "cow"],
        "preprocess": {"mean": [0.5]},
        "penult": exported.card,
    }
    one = find("onnx").run(exported, file, probe_pictures((224, 224))[:1])
    assert one.shape == (1, 3)


def test_the_same_model_gives_the_same_bytes(lite0: BuiltBackbone, tmp_path: Path) -> None:
    for name in FORMATS:
        kind, exported = find(name), model(lite0, normalisation="none")
        files = [tmp_path / f"{number}{kind.suffix}" for number in range(2)]
        for file in files:
            kind.write(exported, file)
        assert files[0].read_bytes() == files[1].read_bytes(), name


def test_an_unknown_format_gets_near_names() -> None:
    with pytest.raises(InvalidArgument) as refused:
        find("onxx")
    assert (refused.value.reason, "onnx" in refused.value.hint) == ("FORMAT_UNKNOWN", True)
