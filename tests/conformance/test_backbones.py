"""One suite over every architecture family: what is said of a backbone is what it does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from penult_server.core.errors import InvalidArgument
from penult_server.core.features import OutputSpec, Pooling
from penult_server.engine.backbones.architecture import anatomy
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.backbones.layers import Layout
from penult_server.engine.backbones.local_file import find_architecture
from penult_server.engine.backbones.network import Network

FAMILIES = (
    "resnet10t",
    "mobilenetv3_small_050",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "vit_medium_patch16_reg4_gap_256",
    "deit_tiny_distilled_patch16_224",
    "cait_xxs24_224",
    "crossvit_tiny_240",
    "swin_tiny_patch4_window7_224",
    "tf_efficientnet_lite0",
    "resmlp_12_224",
    "regnetx_002",
    "maxvit_rmlp_pico_rw_256",
    "levit_128s",
    "repvit_m0_9",
    "torchvision.resnet18",
    "torchvision.vgg11",
    "torchvision.squeezenet1_1",
    "torchvision.googlenet",
    "torchvision.inception_v3",
    "torchvision.vit_b_16",
    "torchvision.swin_t",
    "torchvision.convnext_tiny",
    "torchvision.mobilenet_v3_small",
    "torchvision.densenet121",
    "torchvision.shufflenet_v2_x0_5",
    "torchvision.mnasnet0_5",
    "torchvision.efficientnet_b0",
    "torchvision.regnet_y_400mf",
    "torchvision.maxvit_t",
)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    network: Network
    batch: torch.Tensor


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest) -> Case:
    architecture = find_architecture(request.param)
    network = Network(architecture.trunk(), architecture.preprocess, anatomy(architecture))
    seeded = torch.Generator().manual_seed(1)
    batch = torch.randint(
        256, (1, *architecture.preprocess.input_size, 3), dtype=torch.uint8, generator=seeded
    )
    return Case(request.param, network.requires_grad_(False), batch)


def test_the_feature_is_as_long_as_described(case: Case) -> None:
    facts = Catalog(None, None, allow_download=False).describe(case.name)
    feature = case.network(case.batch)
    assert feature.shape == (1, facts.dim)
    assert feature.dtype == torch.float32
    assert torch.isfinite(feature).all()
    assert facts.parameter_count == sum(p.numel() for p in case.network.parameters())
    assert facts.licence


def test_every_listed_layer_gives_a_vector_of_the_length_it_says(case: Case) -> None:
    layers = case.network.anatomy.layers
    assert len(layers) >= 3
    for layer in layers:
        assert case.network.dim(OutputSpec(layer)) > 0
    spec = OutputSpec(layers[len(layers) // 2])  # one is run; all of them would take minutes
    assert case.network.variant(spec)(case.batch).shape == (1, case.network.dim(spec))


@pytest.mark.parametrize("pooling", ["avg_max", "token"])
def test_each_pooling_works_or_is_refused(case: Case, pooling: Pooling) -> None:
    spec = OutputSpec("", pooling)
    final = case.network.anatomy.final
    if final is None or (pooling == "token" and not final.class_token):
        for call in (case.network.dim, case.network.variant):
            with pytest.raises(InvalidArgument) as caught:
                call(spec)
            assert caught.value.reason == "POOLING_UNSUPPORTED"
        return
    feature = case.network.variant(spec)(case.batch)
    assert feature.shape == (1, case.network.dim(spec))
    assert feature.dtype == torch.float32


def test_only_an_architecture_of_several_branches_has_no_last_activation(case: Case) -> None:
    assert (case.network.anatomy.final is None) == (case.name == "crossvit_tiny_240")


def test_a_layer_it_does_not_have_is_refused_with_near_names(case: Case) -> None:
    layer = case.network.anatomy.layers[1]
    with pytest.raises(InvalidArgument, match="near:") as caught:
        case.network.dim(OutputSpec(layer + "x"))
    assert caught.value.reason == "LAYER_UNKNOWN"
    assert layer in caught.value.metadata["near_matches"]


def test_maps_have_their_channels_where_the_family_has_them(case: Case) -> None:
    layouts = {activation.layout for activation in case.network.anatomy.activations.values()}
    if "swin" in case.name:
        assert Layout.CHANNELS_LAST in layouts
        assert case.network.anatomy.final is not None
        assert case.network.anatomy.final.layout is Layout.CHANNELS_LAST
    elif "resnet" in case.name or "vgg" in case.name:
        assert Layout.CHANNELS_LAST not in layouts
