"""What the client itself does on the wire."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import penult
from penult._chunks import MAX_CHUNK_IMAGES
from penult._duplex import MAX_PENDING_MESSAGES


@pytest.fixture
def client(known: Any) -> Iterator[penult.Client]:
    with penult.Client(known.target, timeout=20) as client:
        yield client


def numbered(count: int) -> Iterator[bytes]:
    """Images that tell their position by their length and first byte."""
    return (bytes([n % 32]) * (n + 1) for n in range(count))


def test_few_images_go_in_one_interactive_call_and_many_by_one_stream(
    client: penult.Client, known: Any
) -> None:
    for count, call in ((1, "Extract"), (8, "Extract"), (9, "ExtractStream"), (500, "ExtractStream")):
        known.servicer.calls.clear()
        features = client.extract(numbered(count))
        assert known.servicer.calls == [call]
        assert features.dtype == np.float32
        assert features[:, 0].tolist() == list(range(1, count + 1))
        assert features[:, 1].tolist() == [n % 32 for n in range(count)]


def test_result_is_writable_and_of_exact_size(client: penult.Client) -> None:
    for images in (list(numbered(100)), numbered(100)):
        features = client.extract(images)
        features += 1
        assert features.shape == (100, 2)


def test_no_image_is_no_row_and_no_call(client: penult.Client, known: Any) -> None:
    assert client.extract([]).shape == (0, 0)
    assert known.servicer.calls == []


def test_options_arrive(client: penult.Client, known: Any) -> None:
    for images in (b"x", list(numbered(20))):
        client.extract(
            images, "resnet50", tta="flip", l2=True, dtype="float16", layer="layer3", pooling="avg_max"
        )
        options = known.servicer.options
        assert (options.backbone, options.layer) == ("resnet50", "layer3")
        assert (options.dtype, options.pooling) == (2, 3)
        assert options.l2_normalize
        assert options.tta.flip


@pytest.mark.parametrize(
    "wrong", [{"dtype": "int8"}, {"pooling": "mean"}, {"tta": "spin"}, {"on_error": "ignore"}]
)
def test_wrong_options_are_refused_before_any_image_is_read(client: penult.Client, wrong: Any) -> None:
    images = numbered(3)
    with pytest.raises(penult.InvalidArgument):
        client.extract(images, **wrong)
    assert len(list(images)) == 3


@pytest.mark.parametrize("count", [5, 100])
def test_bad_images_by_on_error(client: penult.Client, count: int) -> None:
    images: list[Any] = list(numbered(count))
    images[1], images[3] = b"!", Path("missing.jpg")
    with pytest.raises(penult.ItemFailed) as caught:
        client.extract(images)
    assert [error.index for error in caught.value.errors] == [1, 3]

    features, errors = client.extract(images, on_error="return")
    assert errors == [
        penult.ItemError(1, "IMAGE_CORRUPT", "no picture", ""),
        penult.ItemError(3, "FILE_UNREADABLE", "No such file or directory", "missing.jpg"),
    ]
    assert np.flatnonzero(np.isnan(features[:, 0])).tolist() == [1, 3]
    assert features[-1, 0] == count

    with pytest.warns(penult.SkippedImages, match=f"2 of {count} images skipped"):
        left = client.extract(images, on_error="skip")
    assert left.tolist() == np.delete(features, [1, 3], axis=0).tolist()


def test_batch_names_its_rows_and_what_they_are(client: penult.Client, tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "bad.jpg").write_bytes(b"!")
    with pytest.warns(penult.SkippedImages):
        batch = client.extract_with_info(tmp_path, on_error="skip")
    assert [Path(name).name for name in batch.names] == ["a.jpg", "b.jpg"]
    assert (batch.fingerprint, batch.backbone) == ("f" * 64, "known")
    assert batch.errors[0].name == str(tmp_path / "bad.jpg")


def test_iteration_yields_batches_in_order(client: penult.Client) -> None:
    batches = list(client.extract_iter(numbered(100)))
    assert [batch.first_index for batch in batches] == list(range(0, 100, MAX_CHUNK_IMAGES))
    assert np.concatenate([batch.features for batch in batches])[:, 0].tolist() == list(range(1, 101))


def test_no_more_images_are_read_than_the_window_allows(client: penult.Client, known: Any) -> None:
    known.servicer.hold.clear()
    read = 0
    blocked = threading.Event()

    def images() -> Iterator[bytes]:
        nonlocal read
        for _ in range(5000):
            read += 1
            if read == MAX_PENDING_MESSAGES * MAX_CHUNK_IMAGES:
                blocked.set()
            yield b"x"

    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(client.extract(images())))
    thread.start()
    assert blocked.wait(10)
    # The client now waits for an answer; a reader that did not would finish within this time.
    thread.join(0.5)
    assert thread.is_alive()
    assert read == MAX_PENDING_MESSAGES * MAX_CHUNK_IMAGES
    known.servicer.hold.set()
    thread.join(20)
    assert result[0].shape == (5000, 2)


def test_error_of_the_callers_own_iterable_reaches_the_caller(client: penult.Client) -> None:
    def images() -> Iterator[bytes]:
        yield from numbered(50)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.extract(images())


def test_leaving_an_iteration_early_ends_the_stream(client: penult.Client) -> None:
    batches = client.extract_iter(numbered(10_000))
    next(batches)
    del batches
    assert client.extract(b"x").shape == (1, 2)


@pytest.mark.parametrize("count", [1, 100])
def test_unavailable_is_tried_again(client: penult.Client, known: Any, count: int) -> None:
    known.servicer.fail = [(grpc.StatusCode.UNAVAILABLE, [])] * 2
    assert len(client.extract(numbered(count))) == count
    assert len(known.servicer.calls) == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
def test_nothing_else_is_tried_again(client: penult.Client, known: Any, code: grpc.StatusCode) -> None:
    known.servicer.fail = [(code, [])] * 2
    with pytest.raises(penult.PenultError):
        client.extract(b"x")
    assert len(known.servicer.calls) == 1


def test_slow_call_ends_at_its_timeout(client: penult.Client, known: Any) -> None:
    known.servicer.delay = 1.0
    with pytest.raises(penult.DeadlineExceeded):
        client.extract(b"x", timeout=0.2)


def test_stalled_stream_ends_at_its_timeout_but_a_long_one_does_not(
    client: penult.Client, known: Any
) -> None:
    known.servicer.hold.clear()
    with pytest.raises(penult.DeadlineExceeded, match=r"no answer on the stream for 0\.2 s"):
        client.extract(numbered(100), timeout=0.2)
    known.servicer.hold.set()

    def slow() -> Iterator[bytes]:
        for image in numbered(40):
            yield image
            threading.Event().wait(0.02)  # the caller is slow, not the server

    assert len(client.extract(slow(), timeout=0.5)) == 40


def test_server_that_ends_a_stream_early_is_an_error(client: penult.Client, known: Any) -> None:
    known.servicer.fail = [(grpc.StatusCode.INVALID_ARGUMENT, [])]
    with pytest.raises(penult.InvalidArgument):
        client.extract(numbered(10_000))


def test_key_and_user_agent_travel(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with penult.Client(known.target, api_key="secret") as client:
        client.extract(b"x")
    assert known.servicer.metadata["authorization"] == "Bearer secret"
    assert str(known.servicer.metadata["user-agent"]).startswith(f"penult-python/{penult.__version__}")
    monkeypatch.setenv("PENULT_API_KEY", "from-environment")
    with penult.Client(known.target) as client:
        client.extract(numbered(20))
    assert known.servicer.metadata["authorization"] == "Bearer from-environment"


def test_copy_shares_the_connection_and_a_pickle_leaves_the_key_behind(known: Any) -> None:
    with penult.Client(known.target, api_key="secret", timeout=7) as client:
        assert copy.deepcopy(client) is client
        pickled = pickle.dumps(client)
    assert b"secret" not in pickled
    with pickle.loads(pickled) as again:
        assert again.extract(b"x").shape == (1, 2)
    assert "secret" not in repr(again._endpoint)


def test_closed_client_says_so(known: Any) -> None:
    client = penult.Client(known.target)
    client.close()
    client.close()
    with pytest.raises(penult.FailedPrecondition) as caught:
        client.extract(b"x")
    assert caught.value.reason == "CLIENT_CLOSED"


def test_list_fetches_every_page(client: penult.Client) -> None:
    assert [backbone.name for backbone in client.backbones.list("net")] == ["net0", "net1", "net2"]
    with pytest.raises(penult.InvalidArgument, match="unknown source"):
        client.backbones.list(sources=["web"])  # type: ignore[list-item]


def test_checkpoint_arrives_whole_with_its_checksum(
    client: penult.Client, known: Any, tmp_path: Path
) -> None:
    import hashlib

    data = np.random.default_rng(0).bytes(2_500_000)
    (tmp_path / "w.safetensors").write_bytes(data)
    client.backbones.import_checkpoint("mine", tmp_path / "w.safetensors", architecture="resnet18")
    header = known.servicer.header
    assert known.servicer.upload == data
    assert (header.size_bytes, header.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert header.request_id
    with pytest.raises(penult.InvalidArgument, match="missing"):
        client.backbones.import_checkpoint("mine", tmp_path / "missing", architecture="resnet18")
