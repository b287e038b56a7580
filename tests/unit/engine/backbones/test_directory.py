from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision

from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument
from penult_server.engine.backbones.directory import DirectorySource
from penult_server.engine.backbones.local_file import guess_architecture

MODEL = torchvision.models.squeezenet1_1(num_classes=7)
ARCHITECTURE = "torchvision.squeezenet1_1"


def architecture_of(folder: Path, name: str) -> str:
    origin = DirectorySource(folder).find(name)
    assert origin is not None
    return origin.architecture.name


def test_the_sidecar_says_what_a_file_is(tmp_path: Path) -> None:
    torch.save(MODEL.state_dict(), tmp_path / "shoes.pth")
    (tmp_path / "shoes.json").write_text(json.dumps({"architecture": ARCHITECTURE, "licence": "cc0-1.0"}))
    origin = DirectorySource(tmp_path).find("shoes")
    assert origin is not None
    assert (origin.architecture.name, origin.licence) == (ARCHITECTURE, "cc0-1.0")
    assert origin.load()(torch.zeros(1, 3, 64, 64)).shape == (1, 512)


def test_else_the_header_of_a_safetensors_file_else_its_name(tmp_path: Path) -> None:
    safetensors.torch.save_file(
        MODEL.state_dict(), tmp_path / "a.safetensors", {"architecture": ARCHITECTURE}
    )
    safetensors.torch.save_file(MODEL.state_dict(), tmp_path / "squeezenet1_1-b8a52dc0.safetensors")
    assert architecture_of(tmp_path, "a") == ARCHITECTURE
    assert architecture_of(tmp_path, "squeezenet1_1-b8a52dc0") == ARCHITECTURE


@pytest.mark.parametrize(
    ("stem", "architecture"),
    [
        ("resnet50", "resnet50"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("resnet50_a1_0-14fe96d1", "resnet50"),
        ("tf_efficientnet_lite0-0aa007d2", "tf_efficientnet_lite0"),
        ("vit_b_16-c867db91", "vit_b_16"),
        ("torchvision.resnet18", "torchvision.resnet18"),
        ("my_best_model", ""),
        ("", ""),
    ],
)
def test_guessing_from_a_name(stem: str, architecture: str) -> None:
    assert guess_architecture(stem) == architecture


def test_safetensors_before_pth_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "squeezenet1_1.pth").write_bytes(b"damaged")
    safetensors.torch.save_file(MODEL.state_dict(), tmp_path / "squeezenet1_1.safetensors")
    source = DirectorySource(tmp_path)
    assert len(list(source.summaries())) == 1
    origin = source.find("squeezenet1_1")
    assert origin is not None
    origin.load()


def test_a_file_of_unknown_architecture_is_listed_and_says_what_to_write(tmp_path: Path) -> None:
    torch.save(MODEL.state_dict(), tmp_path / "mystery.pth")
    source = DirectorySource(tmp_path)
    assert [(row.name, row.architecture) for row in source.summaries()] == [("mystery", "")]
    with pytest.raises(FailedPrecondition, match=r"mystery\.pth") as caught:
        source.find("mystery")
    assert "mystery.json" in caught.value.hint


def test_sidecars_that_are_wrong(tmp_path: Path) -> None:
    torch.save(MODEL.state_dict(), tmp_path / "shoes.pth")
    source = DirectorySource(tmp_path)
    for content in ("{", "[]", "\xff"):
        (tmp_path / "shoes.json").write_text(content, encoding="latin-1")
        with pytest.raises(DataLoss, match=r"shoes\.json"):
            source.find("shoes")
        assert len(list(source.summaries())) == 1
    (tmp_path / "shoes.json").write_text('{"architecture": "resnet5000"}')
    with pytest.raises(InvalidArgument, match="resnet5000"):
        source.find("shoes")


def test_weights_of_another_architecture_are_named(tmp_path: Path) -> None:
    torch.save(MODEL.state_dict(), tmp_path / "resnet18.pth")
    origin = DirectorySource(tmp_path).find("resnet18")
    assert origin is not None
    with pytest.raises(FailedPrecondition, match=r"missing \(conv1.weight.*unexpected \(features") as caught:
        origin.load()
    assert caught.value.reason == "WEIGHTS_MISFIT"


def test_hidden_files_and_folders_are_no_backbones(tmp_path: Path) -> None:
    (tmp_path / ".partial.pth").touch()
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "notes.txt").touch()
    assert list(DirectorySource(tmp_path).summaries()) == []
    assert list(DirectorySource(tmp_path / "absent").summaries()) == []
