"""BackboneService on the wire: truthful facts, loading under a budget, import, and helpful errors."""

from __future__ import annotations

import hashlib
import io
import pickle
import signal
import threading
from collections.abc import Iterator
from typing import Any, cast

import grpc
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save

from penult.v1 import backbone_pb2 as pb
from penult.v1 import backbone_pb2_grpc, feature_pb2, feature_pb2_grpc, image_pb2
from tests.e2e.conftest import ServerFactory
from tests.e2e.test_features import array, refusal
from tests.references import bundled_timm_model


@pytest.fixture(scope="session")
def stub(channel: grpc.Channel) -> backbone_pb2_grpc.BackboneServiceStub:
    return backbone_pb2_grpc.BackboneServiceStub(channel)


def get(stub: backbone_pb2_grpc.BackboneServiceStub, name: str = "") -> pb.Backbone:
    return stub.GetBackbone(pb.GetBackboneRequest(name=name), timeout=60).backbone


def names(stub: backbone_pb2_grpc.BackboneServiceStub, **wanted: Any) -> list[str]:
    """Of all pages."""
    found, token = [], ""
    while True:
        page = stub.ListBackbones(pb.ListBackbonesRequest(page_token=token, **wanted), timeout=60)
        found += [backbone.name for backbone in page.backbones]
        if not (token := page.next_page_token):
            return found


def test_the_default_backbone_is_described_truthfully(stub: backbone_pb2_grpc.BackboneServiceStub) -> None:
    backbone, model = get(stub), bundled_timm_model("tf_efficientnet_lite0")
    assert backbone.name == backbone.architecture == "tf_efficientnet_lite0"
    assert backbone.source == pb.BACKBONE_SOURCE_BUNDLED
    assert backbone.state == pb.BACKBONE_STATE_READY
    assert backbone.dim == model.num_features == 1280
    assert (backbone.preprocess.input_height, backbone.preprocess.input_width) == (224, 224)
    assert list(backbone.preprocess.resize) == [256]
    assert backbone.preprocess.interpolation == "bicubic"
    assert list(backbone.preprocess.mean) == [0.5] * 3
    classifier = sum(p.numel() for p in model.get_classifier().parameters())
    assert backbone.parameter_count == sum(p.numel() for p in model.parameters()) - classifier
    assert backbone.licence == "apache-2.0"
    assert len(backbone.fingerprint) == 64
    assert backbone.device == "cpu"
    assert backbone.provider in ("torch", "openvino")
    assert backbone.provider_cosine >= 0.9999
    assert backbone.memory_bytes > 4 * backbone.parameter_count


def test_what_needs_no_network_is_listed_by_default_and_the_rest_on_request(
    stub: backbone_pb2_grpc.BackboneServiceStub,
) -> None:
    bundled = {f"tf_efficientnet_lite{n}" for n in range(3)}
    assert bundled <= set(names(stub))
    assert len(names(stub)) < 20
    request = pb.ListBackbonesRequest(sources=[pb.BACKBONE_SOURCE_BUNDLED])
    for listed in stub.ListBackbones(request, timeout=60).backbones:
        known = get(stub, listed.name)
        assert known.dim == 1280
        assert known.parameter_count > 3_000_000
        assert (listed.dim, listed.parameter_count, listed.licence, listed.preprocess) == (
            (known.dim, known.parameter_count, known.licence, known.preprocess)
        )
    everything = names(stub, sources=[pb.BACKBONE_SOURCE_TIMM, pb.BACKBONE_SOURCE_TORCHVISION], page_size=500)
    assert len(everything) > 1000
    assert everything == sorted(set(everything))
    assert "resnet50.a1_in1k" in everything
    assert names(stub, query="RESNET50.A?_in1k") == [
        "resnet50.a1_in1k",
        "resnet50.a2_in1k",
        "resnet50.a3_in1k",
        "resnet50.am_in1k",
    ]
    assert "tf_efficientnet_lite0" in names(stub, state=pb.BACKBONE_STATE_READY)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListBackbonesRequest(page_size=5000), "page_size"),
        (pb.ListBackbonesRequest(page_token="no token"), "page_token"),
        (pb.ListBackbonesRequest(sources=[cast(Any, 77)]), "sources"),
    ],
)
def test_a_wrong_listing_names_the_field(
    stub: backbone_pb2_grpc.BackboneServiceStub, request_: pb.ListBackbonesRequest, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListBackbones(request_, timeout=60)
    code, _, details = refusal(caught.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "google.rpc.BadRequest" in details
    assert field in str(caught.value.trailing_metadata())


def test_an_unknown_name_gets_near_matches_and_an_unreachable_hub_says_what_to_do(
    stub: backbone_pb2_grpc.BackboneServiceStub,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        get(stub, "resnet5O")
    code, info, _ = refusal(caught.value)
    assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "BACKBONE_UNKNOWN")
    assert "resnet50" in str(caught.value.details())
    with pytest.raises(grpc.RpcError) as caught:  # the shared server may not download
        stub.LoadBackbone(pb.LoadBackboneRequest(name="resnet18.a1_in1k"), timeout=60)
    code, info, _ = refusal(caught.value)
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "WEIGHTS_UNREACHABLE")
    assert info.metadata["hint"]
    failed = get(stub, "resnet18.a1_in1k")
    assert failed.state == pb.BACKBONE_STATE_FAILED
    assert failed.error
    assert failed.dim == 512


def import_messages(
    data: bytes, name: str, architecture: str, **changed: Any
) -> Iterator[pb.ImportBackboneRequest]:
    header: dict[str, Any] = {
        "name": name,
        "architecture": architecture,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": "mit",
        **changed,
    }
    yield pb.ImportBackboneRequest(header=pb.ImportBackboneHeader(**header))
    for start in range(0, len(data), 1 << 20):
        yield pb.ImportBackboneRequest(chunk=data[start : start + (1 << 20)])


def checkpoint(architecture: str, seed: int = 0) -> tuple[torch.nn.Module, bytes, bytes]:
    """A network with random weights, as safetensors and as .pth."""
    torch.manual_seed(seed)
    model = timm.create_model(architecture, pretrained=False).eval()
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return model, save(model.state_dict()), buffer.getvalue()


def test_import_load_evict_and_survive_a_kill(start_server: ServerFactory) -> None:
    _, safetensors, pth = checkpoint("mobilenetv3_small_050")
    pixels = np.full((300, 300, 3), 90, np.uint8)
    pixels[:150] = 200
    image = image_pb2.Image(
        pixels={"dtype": "DATA_TYPE_UINT8", "shape": pixels.shape, "data": pixels.tobytes()}
    )
    with (
        start_server("--backbone-memory-mb", "48") as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        backbones = backbone_pb2_grpc.BackboneServiceStub(channel)
        features = feature_pb2_grpc.FeatureServiceStub(channel)

        def feature(name: str) -> np.ndarray:
            options = feature_pb2.FeatureOptions(backbone=name)
            request = feature_pb2.ExtractRequest(images=[image], options=options)
            return array(features.Extract(request, timeout=60).features)

        for name, data in (("mine-st", safetensors), ("mine-pth", pth)):
            imported = backbones.ImportBackbone(
                import_messages(data, name, "mobilenetv3_small_050", request_id=name), timeout=60
            ).backbone
            assert imported.source == pb.BACKBONE_SOURCE_IMPORTED
            assert imported.state == pb.BACKBONE_STATE_AVAILABLE
            assert imported.licence == "mit"
            assert imported.dim == 1024
            # The same import again is the same import, and sends nothing that matters.
            backbones.ImportBackbone(
                import_messages(data, name, "mobilenetv3_small_050", request_id=name), timeout=60
            )
            ready = backbones.LoadBackbone(pb.LoadBackboneRequest(name=name), timeout=60).backbone
            assert ready.state == pb.BACKBONE_STATE_READY
        assert get(backbones, "mine-st").fingerprint == get(backbones, "mine-pth").fingerprint
        np.testing.assert_allclose(feature("mine-st"), feature("mine-pth"), rtol=1e-4, atol=1e-5)

        with pytest.raises(grpc.RpcError) as caught:
            backbones.ImportBackbone(import_messages(pth, "mine-st", "resnet18"), timeout=60)
        assert refusal(caught.value)[0] is grpc.StatusCode.ALREADY_EXISTS

        # lite1 needs about 3 x 4.1 M x 4 bytes: something idle has to go.
        backbones.LoadBackbone(pb.LoadBackboneRequest(name="tf_efficientnet_lite1"), timeout=120)
        states = {
            name: get(backbones, name).state for name in ("mine-st", "mine-pth", "tf_efficientnet_lite1")
        }
        assert states["tf_efficientnet_lite1"] == pb.BACKBONE_STATE_READY
        assert pb.BACKBONE_STATE_AVAILABLE in states.values()
        before = feature("mine-st")  # loads again by itself
        unloaded = backbones.UnloadBackbone(pb.UnloadBackboneRequest(name="mine-st"), timeout=60).backbone
        assert unloaded.state == pb.BACKBONE_STATE_AVAILABLE
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    with start_server() as server, grpc.insecure_channel(server.target) as channel:
        features = feature_pb2_grpc.FeatureServiceStub(channel)
        np.testing.assert_allclose(feature("mine-st"), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "Bad Name"}, "BAD_NAME"),
        ({"name": "../escape"}, "BAD_NAME"),
        ({"architecture": ""}, "NO_ARCHITECTURE"),
        ({"sha256": "zz"}, "BAD_SHA256"),
        ({"sha256": "0" * 64}, "UPLOAD_DAMAGED"),
        ({"size_bytes": 10}, "UPLOAD_DAMAGED"),
        ({"size_bytes": 1 << 62}, "CHECKPOINT_TOO_LARGE"),
        ({"architecture": "resnet5O"}, "ARCHITECTURE_UNKNOWN"),
        ({"architecture": "resnet18"}, "WEIGHTS_MISFIT"),
    ],
)
def test_a_wrong_import_is_refused_and_leaves_nothing(
    stub: backbone_pb2_grpc.BackboneServiceStub, changed: dict[str, Any], reason: str
) -> None:
    _, data, _ = checkpoint("mobilenetv3_small_050")
    messages = import_messages(data, **{"name": "wrong", "architecture": "mobilenetv3_small_050", **changed})
    with pytest.raises(grpc.RpcError) as caught:
        stub.ImportBackbone(messages, timeout=60)
    assert refusal(caught.value)[1].reason == reason
    with pytest.raises(grpc.RpcError) as caught:
        get(stub, "wrong")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_file_that_is_no_checkpoint_is_refused(stub: backbone_pb2_grpc.BackboneServiceStub) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("executed",))

    for data in (b"no tensors at all", pickle.dumps(Evil()), pickle.dumps(Evil(), protocol=2)):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ImportBackbone(import_messages(data, "wrong", "resnet18"), timeout=60)
        assert refusal(caught.value)[1].reason == "WEIGHTS_DAMAGED"


def test_the_first_message_must_be_the_header(stub: backbone_pb2_grpc.BackboneServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ImportBackbone(iter([pb.ImportBackboneRequest(chunk=b"x")]), timeout=60)
    assert refusal(caught.value)[1].reason == "NO_HEADER"


def test_a_backbone_in_use_is_not_unloaded(
    stub: backbone_pb2_grpc.BackboneServiceStub, channel: grpc.Channel, sample_jpegs: list[bytes]
) -> None:
    hold = threading.Event()

    def requests() -> Iterator[feature_pb2.ExtractStreamRequest]:
        options = feature_pb2.FeatureOptions(backbone="tf_efficientnet_lite1")
        images = [image_pb2.Image(encoded=sample_jpegs[0])]
        yield feature_pb2.ExtractStreamRequest(options=options, images=images)
        hold.wait(60)

    responses = feature_pb2_grpc.FeatureServiceStub(channel).ExtractStream(requests(), timeout=120)
    next(responses)
    request = pb.UnloadBackboneRequest(name="tf_efficientnet_lite1")
    with pytest.raises(grpc.RpcError) as caught:
        stub.UnloadBackbone(request, timeout=60)
    code, info, _ = refusal(caught.value)
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BACKBONE_IN_USE")
    hold.set()
    assert list(responses) == []
    assert stub.UnloadBackbone(request, timeout=60).backbone.state == pb.BACKBONE_STATE_AVAILABLE
