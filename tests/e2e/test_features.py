"""FeatureService on the wire: right features, the same from every call, errors that stay with their item."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image as Pillow
from timm.data import create_transform, resolve_data_config

from penult.v1 import feature_pb2 as pb
from penult.v1 import feature_pb2_grpc, image_pb2, tensor_pb2
from tests.e2e.conftest import ServerFactory
from tests.references import bundled_timm_model

DTYPES = {tensor_pb2.DATA_TYPE_FLOAT32: np.float32, tensor_pb2.DATA_TYPE_FLOAT16: np.float16}


@pytest.fixture(scope="session")
def stub(channel: grpc.Channel) -> feature_pb2_grpc.FeatureServiceStub:
    return feature_pb2_grpc.FeatureServiceStub(channel)


def array(tensor: tensor_pb2.Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, DTYPES[tensor.dtype]).reshape(tuple(tensor.shape))


def images(encoded: list[bytes]) -> list[image_pb2.Image]:
    return [image_pb2.Image(encoded=data) for data in encoded]


def extract(
    stub: feature_pb2_grpc.FeatureServiceStub, encoded: list[bytes], **options: Any
) -> pb.ExtractResponse:
    request = pb.ExtractRequest(images=images(encoded), options=pb.FeatureOptions(**options))
    return stub.Extract(request, timeout=60)


def refusal(error: grpc.RpcError) -> tuple[grpc.StatusCode, error_details_pb2.ErrorInfo, list[str]]:
    """Code, ErrorInfo and the names of all details."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code(), info, [d.TypeName() for d in status.details]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def plain_timm(name: str, encoded: list[bytes]) -> np.ndarray:
    model = bundled_timm_model(name)
    transform = create_transform(**resolve_data_config({}, model=model))
    pictures = [Pillow.open(io.BytesIO(data)).convert("RGB") for data in encoded]
    with torch.inference_mode():
        batch = torch.stack([transform(picture) for picture in pictures])
        return model.forward_head(model.forward_features(batch), pre_logits=True).numpy()


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"])
def test_features_are_those_of_plain_timm(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes], name: str
) -> None:
    response = extract(stub, sample_jpegs, backbone=name)
    assert response.backbone == name
    assert cosines(array(response.features), plain_timm(name, sample_jpegs)).min() >= 0.9999


def test_features_of_real_photos_are_those_of_plain_timm(
    stub: feature_pb2_grpc.FeatureServiceStub, shared_data: Path
) -> None:
    paths = sorted(shared_data.glob("clothing10/test/*/*.jpg"))[::4]
    paths += sorted(shared_data.glob("grocery81/test/*/*.jpg"))[::12]
    encoded = [path.read_bytes() for path in paths]
    served = np.concatenate(
        [array(extract(stub, encoded[i : i + 16]).features) for i in range(0, len(encoded), 16)]
    )
    assert cosines(served, plain_timm("tf_efficientnet_lite0", encoded)).min() >= 0.9999


def stream(
    stub: feature_pb2_grpc.FeatureServiceStub, chunks: list[list[bytes]], **options: Any
) -> list[pb.ExtractStreamResponse]:
    def requests() -> Iterator[pb.ExtractStreamRequest]:
        yield pb.ExtractStreamRequest(options=pb.FeatureOptions(**options))
        for chunk in chunks:
            yield pb.ExtractStreamRequest(images=images(chunk))

    return list(stub.ExtractStream(requests(), timeout=60))


def test_the_same_image_has_the_same_feature_whatever_brought_it(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    alone = np.concatenate([array(extract(stub, [data]).features) for data in sample_jpegs])
    scale = np.abs(alone).max()
    together = array(extract(stub, sample_jpegs).features)
    reversed_batch = array(extract(stub, sample_jpegs[::-1]).features)[::-1]
    responses = stream(stub, [sample_jpegs[:1], [], sample_jpegs[1:4], sample_jpegs[4:]])
    streamed = np.concatenate([array(r.features) for r in responses])
    calls = [stub.Extract.future(pb.ExtractRequest(images=images([d])), timeout=60) for d in sample_jpegs * 3]
    mixed = np.concatenate([array(call.result().features) for call in calls])
    for other in (together, reversed_batch, streamed, *np.split(mixed, 3)):
        assert np.abs(other - alone).max() / scale < 1e-4
    assert {r.fingerprint for r in responses} == {extract(stub, sample_jpegs[:1]).fingerprint}


def test_a_stream_answers_every_message_in_order(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    sizes = [0, 3, 1, 0, 5, 2]
    pictures = itertools.cycle(sample_jpegs)
    chunks = [list(itertools.islice(pictures, size)) for size in sizes]
    responses = stream(stub, chunks)
    assert [r.features.shape[0] for r in responses] == [0, *sizes]
    assert [r.first_index for r in responses] == [0, 0, 0, 3, 4, 4, 9]


def test_a_bad_image_fails_alone_and_is_named(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    good, bad = sample_jpegs[0], sample_jpegs[1][: len(sample_jpegs[1]) // 2]
    request = pb.ExtractRequest(images=[*images([good, bad, good]), image_pb2.Image(id="no-content")])
    request.images[1].id = "half"
    response = stub.Extract(request, timeout=60)
    rows = array(response.features)
    assert [(e.index, e.id, e.reason) for e in response.errors] == [
        (1, "half", "IMAGE_CORRUPT"),
        (3, "no-content", "IMAGE_EMPTY"),
    ]
    assert np.isnan(rows[[1, 3]]).all()
    assert np.isfinite(rows[[0, 2]]).all()
    np.testing.assert_allclose(rows[0], rows[2], rtol=1e-3, atol=1e-4)

    in_stream = stream(stub, [[good, good], [good, bad]])
    assert [(e.index, e.reason) for r in in_stream for e in r.errors] == [(3, "IMAGE_CORRUPT")]


def test_every_awkward_file_ends_in_a_feature_or_its_own_error(
    stub: feature_pb2_grpc.FeatureServiceStub, shared_data: Path, sample_jpegs: list[bytes]
) -> None:
    odd = sorted((shared_data / "odd").iterdir())
    response = extract(stub, [sample_jpegs[0], *(path.read_bytes() for path in odd), sample_jpegs[1]])
    rows, failed = array(response.features), {e.index for e in response.errors}
    assert len(rows) == len(odd) + 2
    assert {i for i in range(len(rows)) if np.isnan(rows[i]).any()} == failed
    assert failed.isdisjoint({0, len(rows) - 1})
    assert all(e.reason.startswith("IMAGE_") and e.message for e in response.errors)
    by_name = {path.name: index + 1 for index, path in enumerate(odd)}
    assert {by_name[n] for n in ("empty.jpg", "text.jpg", "decompression_bomb.gif")} <= failed
    assert by_name["hopper.jpg"] not in failed


def test_raw_pixels_give_the_feature_of_the_same_picture(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    pixels = np.asarray(Pillow.open(io.BytesIO(sample_jpegs[0])).convert("RGB"))
    floats = (pixels / 255).astype(np.float32)
    wire = [
        tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_UINT8, shape=pixels.shape, data=pixels.tobytes()),
        tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT32, shape=floats.shape, data=floats.tobytes()),
        tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_UINT8, shape=(9, 9, 3), data=b"too short"),
    ]
    request = pb.ExtractRequest(images=[image_pb2.Image(pixels=tensor) for tensor in wire])
    response = stub.Extract(request, timeout=60)
    encoded = array(extract(stub, sample_jpegs[:1]).features)
    rows = array(response.features)
    np.testing.assert_allclose(rows[:1], encoded, rtol=1e-3, atol=1e-4)
    assert cosines(rows[1:2], encoded).min() > 0.9999
    assert [(e.index, e.reason) for e in response.errors] == [(2, "IMAGE_BAD_PIXELS")]


def test_options_do_what_they_say(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    data = sample_jpegs[:2]
    plain = extract(stub, data)
    base = array(plain.features)
    unit = array(extract(stub, data, l2_normalize=True).features)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    assert cosines(unit, base).min() > 0.999999
    half = extract(stub, data, dtype=tensor_pb2.DATA_TYPE_FLOAT16)
    assert half.features.dtype == tensor_pb2.DATA_TYPE_FLOAT16
    np.testing.assert_allclose(array(half.features).astype(np.float32), base, rtol=2e-3, atol=2e-3)
    pooled = array(extract(stub, data, pooling=pb.POOLING_AVG_MAX).features)
    assert pooled.shape == (2, 2 * base.shape[1])
    np.testing.assert_allclose(pooled[:, : base.shape[1]], base, rtol=1e-3, atol=1e-3)
    assert (pooled[:, base.shape[1] :] >= pooled[:, : base.shape[1]] - 1e-4).all()


def test_flip_is_the_mean_of_the_picture_and_its_mirror_image(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    square = sample_jpegs[3]  # its centre crop is in the middle to the pixel
    picture = Pillow.open(io.BytesIO(square)).convert("RGB")
    mirror = io.BytesIO()
    picture.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT).save(mirror, "PNG")
    both = array(extract(stub, [square, mirror.getvalue()]).features)
    flipped = array(extract(stub, [square], tta=pb.TestTimeAugmentation(flip=True)).features)
    assert cosines(flipped, both.mean(axis=0, keepdims=True)).min() > 0.9999


def test_crops_and_scales_are_averaged_and_a_bad_image_among_them_fails_alone(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    tta = pb.TestTimeAugmentation(flip=True, crops=pb.CROPS_FIVE, scales=[1.0, 1.25])
    response = extract(stub, [sample_jpegs[0], b"no picture", sample_jpegs[1]], tta=tta)
    rows = array(response.features)
    assert [(e.index, e.reason) for e in response.errors] == [(1, "IMAGE_UNRECOGNISED")]
    plain = array(extract(stub, [sample_jpegs[0], sample_jpegs[1]]).features)
    similarity = cosines(rows[[0, 2]], plain)
    assert ((similarity > 0.7) & (similarity < 0.99999)).all()


def test_fingerprints_tell_options_and_backbones_apart(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"backbone": "tf_efficientnet_lite1"},
        {"l2_normalize": True},
        {"pooling": pb.POOLING_MAX},
        {"tta": pb.TestTimeAugmentation(flip=True)},
        {"dtype": tensor_pb2.DATA_TYPE_FLOAT16},
    ]
    prints = [extract(stub, sample_jpegs[:1], **variant).fingerprint for variant in variants]
    assert len(set(prints)) == len(variants)
    assert all(len(p) == 64 for p in prints)
    explicit = extract(stub, sample_jpegs[:1], tta=pb.TestTimeAugmentation(scales=[1.0]))
    assert explicit.fingerprint == prints[0]


def test_every_layer_that_is_listed_works(
    stub: feature_pb2_grpc.FeatureServiceStub, channel: grpc.Channel, sample_jpegs: list[bytes]
) -> None:
    from penult.v1 import backbone_pb2, backbone_pb2_grpc

    backbones = backbone_pb2_grpc.BackboneServiceStub(channel)
    layers = backbones.GetBackbone(backbone_pb2.GetBackboneRequest(), timeout=60).backbone.layers
    assert len(layers) >= 5
    for layer in layers:
        rows = array(extract(stub, sample_jpegs[:2], layer=layer).features)
        assert np.isfinite(rows).all()
        assert not np.allclose(rows[0], rows[1])


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (
            pb.ExtractRequest(images=images([b"x"]), options={"backbone": "resnet5O"}),
            grpc.StatusCode.NOT_FOUND,
            "BACKBONE_UNKNOWN",
        ),
        (
            pb.ExtractRequest(images=images([b"x"]), options={"layer": "nowhere"}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "LAYER_UNKNOWN",
        ),
        (
            pb.ExtractRequest(images=images([b"x"]), options={"pooling": pb.POOLING_TOKEN}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "POOLING_UNSUPPORTED",
        ),
        (
            pb.ExtractRequest(images=images([b"x"]), options={"pooling": 99}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "BAD_ENUM",
        ),
        (
            pb.ExtractRequest(images=images([b"x"]), options={"dtype": tensor_pb2.DATA_TYPE_UINT8}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "BAD_ENUM",
        ),
        (
            pb.ExtractRequest(images=images([b"x"]), options={"tta": {"scales": [9.0]}}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "BAD_SCALES",
        ),
        (
            pb.ExtractRequest(images=images([b"x"]), options={"tta": {"scales": [float("nan")]}}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "BAD_SCALES",
        ),
        (pb.ExtractRequest(images=images([b"x"] * 257)), grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_IMAGES"),
    ],
)
def test_wrong_requests_get_a_precise_status(
    stub: feature_pb2_grpc.FeatureServiceStub,
    request_: pb.ExtractRequest,
    code: grpc.StatusCode,
    reason: str,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Extract(request_, timeout=60)
    got_code, info, details = refusal(caught.value)
    assert (got_code, info.reason, info.domain) == (code, reason, "penult")
    assert info.metadata["request_id"]
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        assert "google.rpc.BadRequest" in details
    with pytest.raises(grpc.RpcError) as in_stream:
        list(
            stub.ExtractStream(
                iter([pb.ExtractStreamRequest(options=request_.options, images=request_.images)]), timeout=60
            )
        )
    assert refusal(in_stream.value)[1].reason == reason


def test_an_empty_request_is_refused_and_so_is_an_empty_stream(
    stub: feature_pb2_grpc.FeatureServiceStub,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        extract(stub, [])
    assert refusal(caught.value)[1].reason == "NO_IMAGES"
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ExtractStream(iter([]), timeout=60))
    assert refusal(caught.value)[1].reason == "EMPTY_STREAM"


def test_an_unknown_backbone_gets_near_matches(stub: feature_pb2_grpc.FeatureServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        extract(stub, [b"x"], backbone="tf_efficientnet_lite")
    assert "tf_efficientnet_lite0" in str(caught.value.details())


def test_a_message_above_the_limit_is_refused_and_hurts_nobody(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    with start_server("--max-message-mb", "1") as server, grpc.insecure_channel(server.target) as channel:
        small = feature_pb2_grpc.FeatureServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            extract(small, [b"\0" * (2 << 20)])
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(array(extract(small, sample_jpegs[:1]).features)) == 1


def test_overload_is_refused_at_once_with_a_delay_and_the_rest_succeed(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    with (
        start_server("--max-queued-images", "16") as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        stub = feature_pb2_grpc.FeatureServiceStub(channel)
        request = pb.ExtractRequest(images=images(sample_jpegs[:8]))
        calls = [stub.Extract.future(request, timeout=60) for _ in range(40)]
        errors = [call.exception() for call in calls]
        refused = [error for error in errors if error is not None]
        assert refused
        assert len(refused) < len(calls)
        for error in refused:
            code, info, details = refusal(error)
            assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert "google.rpc.RetryInfo" in details
        assert len(array(stub.Extract(request, timeout=60).features)) == 8


def test_a_deadline_is_honoured_and_what_is_left_is_dropped(
    start_server: ServerFactory, sample_jpegs: list[bytes]
) -> None:
    with start_server() as server, grpc.insecure_channel(server.target) as channel:
        stub = feature_pb2_grpc.FeatureServiceStub(channel)
        tta = pb.TestTimeAugmentation(flip=True, crops=pb.CROPS_FIVE, scales=[1.0, 1.1, 1.2])
        many = pb.ExtractRequest(images=images(sample_jpegs * 4), options=pb.FeatureOptions(tta=tta))
        with pytest.raises(grpc.RpcError) as caught:
            stub.Extract(many, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert len(array(extract(stub, sample_jpegs[:1]).features)) == 1
        assert any(e.get("code") == "CANCELLED" for e in server.events if e["event"] == "call")


def test_a_client_that_never_reads_or_vanishes_holds_up_nobody(
    server: object,
    stub: feature_pb2_grpc.FeatureServiceStub,
    channel: grpc.Channel,
    sample_jpegs: list[bytes],
) -> None:
    def endless() -> Iterator[pb.ExtractStreamRequest]:
        while True:
            yield pb.ExtractStreamRequest(images=images(sample_jpegs))

    silent = [stub.ExtractStream(endless(), timeout=60) for _ in range(3)]
    for _ in range(5):
        assert len(array(extract(stub, sample_jpegs[:1]).features)) == 1
    for call in silent:
        call.cancel()
    assert len(array(extract(stub, sample_jpegs).features)) == len(sample_jpegs)


@pytest.mark.parametrize("junk", [b"\xff" * 40, b"\x0a\xff", b"\x12\x05hello"])
def test_bytes_that_are_no_message_get_a_precise_status(channel: grpc.Channel, junk: bytes) -> None:
    raw_unary: Any = channel.unary_unary("/penult.v1.FeatureService/Extract")
    raw_stream: Any = channel.stream_stream("/penult.v1.FeatureService/ExtractStream")
    with pytest.raises(grpc.RpcError) as caught:
        raw_unary(junk, timeout=30)
    assert refusal(caught.value)[1].reason == "MALFORMED_REQUEST"
    with pytest.raises(grpc.RpcError) as caught:
        list(raw_stream(iter([junk]), timeout=30))
    code, info, _ = refusal(caught.value)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_the_callers_request_id_comes_back(
    stub: feature_pb2_grpc.FeatureServiceStub, sample_jpegs: list[bytes]
) -> None:
    request = pb.ExtractRequest(images=images(sample_jpegs[:1]))
    _, call = stub.Extract.with_call(request, timeout=60, metadata=(("x-request-id", "my-id.7"),))
    assert ("x-request-id", "my-id.7") in call.trailing_metadata()
    _, call = stub.Extract.with_call(request, timeout=60, metadata=(("x-request-id", "not an id"),))
    given = dict(call.trailing_metadata())["x-request-id"]
    assert given != "not an id"
    assert given
