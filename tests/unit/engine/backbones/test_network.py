from __future__ import annotations

import copy

import openvino
import pytest
import torch

from penult_server.core.features import DEFAULT_OUTPUT, OutputSpec
from penult_server.engine.backbones.architecture import anatomy
from penult_server.engine.backbones.network import Network
from penult_server.engine.backbones.timm_source import TimmArchitecture


def make(name: str) -> Network:
    architecture = TimmArchitecture(name)
    return Network(architecture.trunk(), architecture.preprocess, anatomy(architecture)).requires_grad_(False)


@pytest.fixture(scope="module")
def network() -> Network:
    return make("mobilenetv3_small_050")


def pixels(batch: int) -> torch.Tensor:
    return torch.randint(
        256, (batch, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_black_and_white_become_the_ends_of_the_range(network: Network) -> None:
    ends = torch.stack(
        (torch.zeros(4, 4, 3, dtype=torch.uint8), torch.full((4, 4, 3), 255, dtype=torch.uint8))
    )
    x = network.normalise(ends)
    assert x.shape == (2, 3, 4, 4)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(x[0, :, 0, 0], -mean / std)
    torch.testing.assert_close(x[1, :, 3, 3], (1 - mean) / std)


def test_float_pixels_give_the_feature_of_the_same_bytes(network: Network) -> None:
    torch.testing.assert_close(network(pixels(1).float() / 255), network(pixels(1)), rtol=1e-4, atol=1e-5)


def test_a_picture_alone_and_in_a_batch(network: Network) -> None:
    batch = pixels(3)
    torch.testing.assert_close(network(batch)[1:2], network(batch[1:2]), rtol=1e-4, atol=1e-5)


def test_the_default_output_is_the_network_itself(network: Network) -> None:
    assert network.variant(DEFAULT_OUTPUT) is network
    assert network.dim(DEFAULT_OUTPUT) == network.anatomy.dim


def test_a_variant_shares_the_weights_and_leaves_no_hook(network: Network) -> None:
    variant = network.variant(OutputSpec("blocks.2", "max"))
    variant(pixels(1))
    assert {id(p) for p in variant.parameters()} == {id(p) for p in network.parameters()}
    assert not any(module._forward_hooks for module in network.modules())


def test_a_copied_variant_computes_the_same(network: Network) -> None:
    variant = network.variant(OutputSpec("blocks.2", "avg_max"))
    assert torch.equal(copy.deepcopy(variant)(pixels(1)), variant(pixels(1)))


@pytest.mark.parametrize("spec", [DEFAULT_OUTPUT, OutputSpec("blocks.3"), OutputSpec("", "avg_max")])
def test_a_trace_gives_the_same_for_another_batch_size(network: Network, spec: OutputSpec) -> None:
    module = network.variant(spec)
    traced = torch.jit.trace(module, pixels(2), check_trace=False)
    torch.testing.assert_close(traced(pixels(3)), module(pixels(3)), rtol=1e-4, atol=1e-5)


def test_openvino_converts_a_transformer() -> None:
    network = make("vit_tiny_patch16_224")
    model = openvino.convert_model(
        network, example_input=pixels(2), input=[openvino.PartialShape([-1, 224, 224, 3])]
    )
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result = torch.from_numpy(compiled(pixels(3).numpy())[0])
    assert torch.nn.functional.cosine_similarity(result, network(pixels(3))).min() > 0.9999


def test_it_exports_as_one_graph(network: Network) -> None:
    exported = torch.export.export(network, (pixels(2),)).module()
    torch.testing.assert_close(exported(pixels(2)), network(pixels(2)), rtol=1e-4, atol=1e-5)
