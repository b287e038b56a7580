"""Networks against plain timm and torchvision: same weights, same pictures, same features."""

from __future__ import annotations

import io

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn

from penult_server.core.features import OutputSpec
from penult_server.engine.backbones.architecture import Architecture, anatomy
from penult_server.engine.backbones.bundled import BUNDLES, bundle_path
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.backbones.checkpoint import read_tensors
from penult_server.engine.backbones.network import Network
from penult_server.engine.backbones.timm_source import TimmArchitecture
from penult_server.engine.backbones.torchvision_source import TorchvisionArchitecture
from penult_server.engine.backbones.weights import fit

TIMM_FAMILIES = (
    "resnet10t",
    "mobilenetv3_small_050",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
    "efficientnet_b0",
    "mixer_s32_224",
    "regnetx_002",
    "maxvit_rmlp_pico_rw_256",
    "sequencer2d_s",
)


def pictures(jpegs: list[bytes], architecture: Architecture) -> torch.Tensor:
    """uint8 (N, H, W, 3): what the PIL part of timm's or torchvision's transform makes of them."""
    steps = architecture.preprocess
    resize = torchvision.transforms.Resize(
        steps.resize[0], torchvision.transforms.InterpolationMode(steps.interpolation)
    )
    crop = torchvision.transforms.CenterCrop(steps.input_size)
    images = [crop(resize(Image.open(io.BytesIO(jpeg)).convert("RGB"))) for jpeg in jpegs]
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.float32
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def plain_timm(model: nn.Module, transform: object, jpegs: list[bytes]) -> torch.Tensor:
    batch = torch.stack([transform(Image.open(io.BytesIO(j)).convert("RGB")) for j in jpegs])  # type: ignore[operator]
    with torch.no_grad():
        return model.forward_head(model.forward_features(batch), pre_logits=True)  # type: ignore[operator]


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundled_network_gives_what_timm_gives_with_the_same_weights(
    name: str, sample_jpegs: list[bytes]
) -> None:
    built = Catalog(None, None, allow_download=False).build(name)
    model = timm.create_model(name).eval()
    # The classifier takes no part in the feature.
    model.load_state_dict(built.network.trunk.model.state_dict(), strict=False)
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=model), is_training=False)

    with torch.no_grad():
        ours = built.network(pictures(sample_jpegs, TimmArchitecture(name)))

    assert_same(ours, plain_timm(model, transform, sample_jpegs))


def test_bundled_weights_know_imagenet(sample_jpegs: list[bytes]) -> None:
    # The first photograph shows a Chinese palace, the fifth a daisy-like flower.
    palace, daisy = 698, 985
    name = "tf_efficientnet_lite0"
    built = Catalog(None, None, allow_download=False).build(name)
    *_, weight, bias = read_tensors(bundle_path(name)).values()
    with torch.no_grad():
        features = built.network(pictures([sample_jpegs[0], sample_jpegs[4]], TimmArchitecture(name)))
    assert (features @ weight.T + bias).argmax(1).tolist() == [palace, daisy]


@pytest.mark.parametrize("name", TIMM_FAMILIES)
def test_every_timm_family_gives_its_pre_logits(name: str, sample_jpegs: list[bytes]) -> None:
    architecture = TimmArchitecture(name)
    model = timm.create_model(name).eval()
    trunk = architecture.trunk()
    fit(trunk, model.state_dict(), "the model")
    network = Network(trunk, architecture.preprocess, anatomy(architecture))
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=model), is_training=False)

    with torch.no_grad():
        ours = network(pictures(sample_jpegs[:2], architecture))

    assert_same(ours, plain_timm(model, transform, sample_jpegs[:2]))


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "mobilenet_v3_small", "googlenet"])
def test_torchvision_features_go_through_its_classifier_to_its_logits(
    name: str, sample_jpegs: list[bytes]
) -> None:
    options = {"googlenet": {"aux_logits": False, "init_weights": False, "transform_input": True}}
    model = torchvision.models.get_model(name, weights=None, **options.get(name, {})).eval()
    nn.init.normal_(list(model.parameters())[-2], std=0.02)  # ViT starts with a zero classifier
    architecture = TorchvisionArchitecture(name, "imagenet1k_v1")
    trunk = architecture.trunk()
    fit(trunk, model.state_dict(), "the model")
    network = Network(trunk, architecture.preprocess, anatomy(architecture))
    batch = pictures(sample_jpegs[:2], architecture)
    transform = torchvision.models.get_model_weights(name).IMAGENET1K_V1.transforms()
    originals = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in sample_jpegs[:2]]

    with torch.no_grad():
        features = network(batch)
        logits = model(torch.stack([transform(image) for image in originals]))

    *_, weight, bias = model.parameters()
    torch.testing.assert_close(features @ weight.T + bias, logits, rtol=1e-4, atol=1e-4)


def test_squeezenet_which_ends_in_a_convolution_gives_its_pooled_input(sample_jpegs: list[bytes]) -> None:
    architecture = TorchvisionArchitecture("squeezenet1_1", "imagenet1k_v1")
    network = Network(architecture.trunk(), architecture.preprocess, anatomy(architecture))
    batch = pictures(sample_jpegs[:2], architecture)
    with torch.no_grad():
        features = network(batch)
        maps = network.trunk.model.features(network.normalise(batch))  # type: ignore[operator]
    assert_same(features, maps.mean((2, 3)))


def test_a_layer_of_a_swin_is_pooled_over_its_positions(sample_jpegs: list[bytes]) -> None:
    architecture = TimmArchitecture("swin_tiny_patch4_window7_224")
    network = Network(architecture.trunk(), architecture.preprocess, anatomy(architecture))
    batch = pictures(sample_jpegs[:2], architecture)
    model = network.trunk.model
    with torch.no_grad():
        positions = model.layers[1](model.layers[0](model.patch_embed(network.normalise(batch))))  # type: ignore
        mean = network.variant(OutputSpec("layers.1", "avg"))(batch)
        both = network.variant(OutputSpec("layers.1", "avg_max"))(batch)
    assert_same(mean, positions.mean((1, 2)))
    assert_same(both, torch.cat((positions.mean((1, 2)), positions.amax((1, 2))), 1))


def test_tokens_before_the_grid_stay_out_of_mean_and_maximum(sample_jpegs: list[bytes]) -> None:
    architecture = TimmArchitecture("deit_tiny_distilled_patch16_224")
    network = Network(architecture.trunk(), architecture.preprocess, anatomy(architecture))
    batch = pictures(sample_jpegs[:2], architecture)
    with torch.no_grad():
        tokens = network.trunk.model.forward_features(network.normalise(batch))  # type: ignore[operator]
        mean = network.variant(OutputSpec("", "avg"))(batch)
        largest = network.variant(OutputSpec("", "max"))(batch)
        token = network.variant(OutputSpec("", "token"))(batch)
    assert tokens.shape[1] == 2 + 196
    assert_same(mean, tokens[:, 2:].mean(1))
    assert_same(largest, tokens[:, 2:].amax(1))
    assert_same(token, tokens[:, 0])


def test_an_activation_is_taken_before_a_later_layer_writes_into_it(sample_jpegs: list[bytes]) -> None:
    # VGG's ReLU works in place on the convolution before it.
    architecture = TorchvisionArchitecture("vgg11", "imagenet1k_v1")
    network = Network(architecture.trunk(), architecture.preprocess, anatomy(architecture))
    batch = pictures(sample_jpegs[:1], architecture)
    with torch.no_grad():
        convolution = network.trunk.model.features[0](network.normalise(batch))  # type: ignore[index, operator]
        mean = network.variant(OutputSpec("features.0", "avg"))(batch)
    assert_same(mean, convolution.mean((2, 3)))
    assert (mean < 0).any()
