from __future__ import annotations

import pytest
import timm
import torch
import torchvision

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.backbones.timm_source import TimmArchitecture
from penult_server.engine.backbones.torchvision_source import TorchvisionArchitecture
from penult_server.engine.backbones.weights import fit, weights_sha256

SMALL = "mobilenetv3_small_050"


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return dict(timm.create_model(SMALL, num_classes=10).state_dict())


def test_the_classifier_may_have_any_size_or_be_absent(tensors: dict[str, torch.Tensor]) -> None:
    trunk = TimmArchitecture(SMALL).trunk()
    fit(trunk, tensors, "it")
    first = weights_sha256(trunk)
    bare = {name: t for name, t in tensors.items() if not name.startswith("classifier.")}
    other = TimmArchitecture(SMALL).trunk()
    fit(other, bare, "it")
    assert weights_sha256(other) == first
    assert not any(name.startswith("classifier") for name in trunk.model.state_dict())


def test_a_wrapped_model_fits(tensors: dict[str, torch.Tensor]) -> None:
    trunk = TimmArchitecture(SMALL).trunk()
    fit(trunk, {f"module.{name}": t for name, t in tensors.items()}, "it")
    assert torch.equal(trunk.model.state_dict()["conv_stem.weight"], tensors["conv_stem.weight"])


def test_counters_of_batch_norm_may_be_missing(tensors: dict[str, torch.Tensor]) -> None:
    fit(
        TimmArchitecture(SMALL).trunk(),
        {name: t for name, t in tensors.items() if "num_batches" not in name},
        "it",
    )


def test_a_misfit_names_tensors_and_changes_nothing(tensors: dict[str, torch.Tensor]) -> None:
    trunk = TimmArchitecture(SMALL).trunk()
    before = weights_sha256(trunk)
    del tensors["bn1.weight"]
    tensors["stranger"] = torch.zeros(1)
    tensors["conv_stem.weight"] = torch.zeros(1, 2, 3)
    with pytest.raises(FailedPrecondition) as caught:
        fit(trunk, tensors, "the file")
    message = caught.value.message
    assert "1 missing (bn1.weight)" in message
    assert "1 unexpected (stranger)" in message
    assert "conv_stem.weight (1, 2, 3) where (16, 3, 3, 3) is needed" in message
    assert weights_sha256(trunk) == before


def test_auxiliary_heads_of_published_files_are_left_out() -> None:
    model = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    trunk = TorchvisionArchitecture("googlenet", "imagenet1k_v1").trunk()
    fit(trunk, model.state_dict(), "it")
    assert torch.equal(trunk.model.state_dict()["conv1.conv.weight"], model.state_dict()["conv1.conv.weight"])


def test_the_old_names_of_densenet() -> None:
    new = torchvision.models.densenet121(weights=None).state_dict()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): t.clone() + 1
        for name, t in new.items()
    }
    assert old.keys() != new.keys()
    trunk = TorchvisionArchitecture("densenet121", "imagenet1k_v1").trunk()
    fit(trunk, old, "it")
    name = "features.denseblock1.denselayer1.norm1.weight"
    assert torch.equal(trunk.model.state_dict()[name], new[name] + 1)


def test_timms_converter_reads_an_original_publication() -> None:
    # ConvNeXt's authors name the stem and the stages differently from timm.
    model = timm.create_model("convnext_atto")
    renamed = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.")
        parts = name.split(".")
        if parts[0] == "stages" and parts[2] == "downsample":
            name = ".".join(["downsample_layers", parts[1], *parts[3:]])
        elif parts[0] == "stages":
            name = ".".join(["stages", parts[1], *parts[3:]])
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        renamed[name.replace("head.fc.", "head.")] = tensor
    assert renamed.keys() != model.state_dict().keys()
    trunk = TimmArchitecture("convnext_atto").trunk()
    fit(trunk, renamed, "it")
    name = "stages.1.blocks.0.mlp.fc1.weight"
    assert torch.equal(trunk.model.state_dict()[name], model.state_dict()[name])


def test_the_checksum_sees_every_bit_and_every_dtype() -> None:
    trunk = TimmArchitecture(SMALL).trunk()
    before = weights_sha256(trunk)
    with torch.no_grad():
        trunk.model.get_parameter("bn2.bias" if hasattr(trunk.model, "bn2") else "bn1.bias")[0] += 1e-3
    after = weights_sha256(trunk)
    assert after != before
    assert weights_sha256(trunk.bfloat16()) not in (before, after)
