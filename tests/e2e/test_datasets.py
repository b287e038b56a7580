"""DatasetService on the wire: receipts, repeats, pages, splits, manifests, and what bad input gets."""

from __future__ import annotations

import hashlib
import io
import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from penult.v1 import dataset_pb2 as pb
from penult.v1 import dataset_pb2_grpc, image_pb2, tensor_pb2
from tests.e2e.conftest import ServerFactory
from tests.e2e.test_features import refusal
from tests.e2e.test_server import serve
from tests.pictures import tiny_png

Stub = dataset_pb2_grpc.DatasetServiceStub


@pytest.fixture(scope="session")
def stub(channel: grpc.Channel) -> Stub:
    return Stub(channel)


@pytest.fixture
def make(stub: Stub) -> Iterator[Callable[..., str]]:
    """Creates a dataset with a name of its own, deleted after the test."""
    made = []

    def create(**options: Any) -> str:
        name = f"d-{uuid.uuid4().hex[:12]}"
        stub.CreateDataset(pb.CreateDatasetRequest(name=name, **options), timeout=10)
        made.append(name)
        return name

    yield create
    for name in made:
        stub.DeleteDataset(pb.DeleteDatasetRequest(name=name), timeout=30)


def new(
    data: bytes, *labels: str, split: pb.Split = pb.SPLIT_UNSPECIFIED, image_id: str = ""
) -> pb.NewExample:
    image = image_pb2.Image(encoded=data, id=image_id)
    return pb.NewExample(image=image, labels=labels, split=split)


def upload(
    stub: Stub, name: str, *messages: list[pb.NewExample], request_id: str = ""
) -> list[pb.UploadExamplesResponse]:
    def requests() -> Iterator[pb.UploadExamplesRequest]:
        yield pb.UploadExamplesRequest(dataset=name, request_id=request_id)
        for examples in messages:
            yield pb.UploadExamplesRequest(examples=examples)

    return list(stub.UploadExamples(requests(), timeout=60))[1:]


def listed(stub: Stub, name: str, size: int = 1000, **wanted: Any) -> list[pb.Example]:
    """Of all pages."""
    found: list[pb.Example] = []
    token = ""
    while True:
        request = pb.ListExamplesRequest(
            dataset=name, page_size=size, page_token=token, filter=pb.ExampleFilter(**wanted)
        )
        page = stub.ListExamples(request, timeout=30)
        found += page.examples
        if not (token := page.next_page_token):
            return found


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_every_message_gets_a_receipt_and_every_bad_item_its_error(
    stub: Stub, make: Callable[..., str], sample_jpegs: list[bytes]
) -> None:
    name = make()
    half = sample_jpegs[1][: len(sample_jpegs[1]) // 2]
    pixels = tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_UINT8, shape=[2, 3, 3], data=bytes(range(18)))
    receipts = upload(
        stub,
        name,
        [new(sample_jpegs[0], "a", image_id="first"), new(half, "a", image_id="half")],
        [],
        [
            new(b"", "a"),
            pb.NewExample(image=image_pb2.Image(pixels=pixels), metadata_json='{"k": [1, 2.5]}'),
            pb.NewExample(image=image_pb2.Image(pixels=pixels)),
            new(sample_jpegs[2], "a", "b"),
            new(sample_jpegs[2], " "),
            pb.NewExample(image=image_pb2.Image(encoded=sample_jpegs[2]), metadata_json="[1]"),
            new(sample_jpegs[2], "a", image_id="x" * 600),
        ],
    )
    assert [(r.first_index, r.added, r.unchanged) for r in receipts] == [(0, 1, 0), (2, 0, 0), (2, 1, 1)]
    assert [(e.index, e.reason) for r in receipts for e in r.errors] == [
        (1, "IMAGE_CORRUPT"),
        (2, "IMAGE_EMPTY"),
        (5, "TOO_MANY_LABELS"),
        (6, "LABEL_INVALID"),
        (7, "METADATA_INVALID"),
        (8, "ID_INVALID"),
    ]
    assert receipts[0].errors[0].id == "half"
    first, second = listed(stub, name)
    assert (first.sha256, list(first.labels), first.id) == (sha(sample_jpegs[0]), ["a"], "first")
    assert (first.width, first.height, first.size_bytes) == (640, 427, len(sample_jpegs[0]))
    assert (second.width, second.height, second.metadata_json) == (3, 2, '{"k": [1, 2.5]}')


def test_the_same_picture_in_two_splits_is_found_and_moved_only_when_asked(
    stub: Stub, make: Callable[..., str]
) -> None:
    name, data = make(), tiny_png(1)
    upload(stub, name, [new(data, "a", split=pb.SPLIT_TRAIN)])
    [receipt] = upload(stub, name, [new(data, "a", split=pb.SPLIT_TEST)])
    assert [(e.reason, sha(data) in e.message) for e in receipt.errors] == [("EXAMPLE_IN_OTHER_SPLIT", True)]
    assert listed(stub, name)[0].split == pb.SPLIT_TRAIN
    change = pb.ExampleChange(sha256=sha(data), split=pb.SPLIT_TEST)
    done = stub.RelabelExamples(pb.RelabelExamplesRequest(dataset=name, changes=[change]), timeout=10)
    assert (done.changed, done.unchanged) == (1, 0)
    assert listed(stub, name)[0].split == pb.SPLIT_TEST
    assert list(listed(stub, name)[0].labels) == ["a"]
    assert upload(stub, name, [new(data, "a", split=pb.SPLIT_TEST)])[0].unchanged == 1


def test_a_repeated_upload_gets_the_same_receipts(stub: Stub, make: Callable[..., str]) -> None:
    name = make()
    messages = [[new(tiny_png(n), "a"), new(b"bad")] for n in range(5)]
    first = upload(stub, name, *messages, request_id=name)
    assert upload(stub, name, *messages, request_id=name) == first
    assert len(listed(stub, name)) == 5
    assert [(r.added, r.unchanged) for r in upload(stub, name, *messages)] == [(0, 1)] * 5
    with pytest.raises(grpc.RpcError) as caught:
        upload(stub, name, [new(tiny_png(9), "a")], request_id=name)
    code, info, _ = refusal(caught.value)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert len(listed(stub, name)) == 5


def test_pages_filters_counts_and_manifest_tell_the_same(stub: Stub, make: Callable[..., str]) -> None:
    name = make(multi_label=True)
    labels = [("a",), ("b",), ("a", "b"), ()]
    data = [tiny_png(n) for n in range(1203)]
    examples = [new(value, *labels[n % 4]) for n, value in enumerate(data)]
    upload(stub, name, *(examples[n : n + 100] for n in range(0, len(examples), 100)))
    request = pb.SplitDatasetRequest(dataset=name, request_id=name)
    done = stub.SplitDataset(request, timeout=30)
    assert done.changed == len(data)
    assert stub.SplitDataset(request, timeout=30) == done
    everything = listed(stub, name)
    assert [example.sha256 for example in everything] == [sha(value) for value in data]
    assert listed(stub, name, size=7) == everything
    in_test = listed(stub, name, splits=[pb.SPLIT_TEST])
    assert len(in_test) == done.dataset.counts.test == 120
    assert [e for e in everything if not e.labels] == listed(stub, name, unlabelled=True)
    both = listed(stub, name, splits=[pb.SPLIT_TEST, pb.SPLIT_VALIDATION], labels=["b"])
    assert both == [e for e in everything if "b" in e.labels and e.split != pb.SPLIT_TRAIN]
    counted = {item.label: item.counts for item in done.dataset.classes}
    assert counted["b"].test + counted["b"].validation == len(both)
    manifest = list(stub.ExportManifest(pb.ExportManifestRequest(dataset=name), timeout=30))
    assert list(itertools.chain.from_iterable(r.examples for r in manifest)) == everything
    assert {r.revision for r in manifest} == {done.dataset.revision}
    wanted = [example.sha256 for example in everything[:3]]
    gone = stub.DeleteExamples(pb.DeleteExamplesRequest(dataset=name, sha256=[*wanted, "0" * 64]), timeout=10)
    assert (gone.deleted, gone.missing) == (3, 1)
    assert listed(stub, name) == everything[3:]


def test_a_manifest_is_one_state_or_fails(stub: Stub, make: Callable[..., str]) -> None:
    name = make()
    # Large enough that flow control holds the server before the end.
    text = '{"x": "%s"}' % ("y" * 16_000)
    for first in range(0, 2000, 250):
        examples = [new(tiny_png(n), "a") for n in range(first, first + 250)]
        for example in examples:
            example.metadata_json = text
        upload(stub, name, examples)
    stream = stub.ExportManifest(pb.ExportManifestRequest(dataset=name), timeout=30)
    next(stream)
    upload(stub, name, [new(tiny_png(5000), "a")])
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    code, info, _ = refusal(caught.value)
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_CHANGED")


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        ("CreateDataset", pb.CreateDatasetRequest(name="Bad Name"), "INVALID_ARGUMENT", "BAD_NAME"),
        ("CreateDataset", pb.CreateDatasetRequest(name="{name}"), "ALREADY_EXISTS", "DATASET_EXISTS"),
        ("GetDataset", pb.GetDatasetRequest(name="none"), "NOT_FOUND", "DATASET_NOT_FOUND"),
        ("DeleteDataset", pb.DeleteDatasetRequest(name="none"), "NOT_FOUND", "DATASET_NOT_FOUND"),
        ("ListDatasets", pb.ListDatasetsRequest(page_size=1001), "INVALID_ARGUMENT", "BAD_PAGE_SIZE"),
        (
            "ListExamples",
            pb.ListExamplesRequest(dataset="{name}", page_token="eHg="),
            "INVALID_ARGUMENT",
            "BAD_PAGE_TOKEN",
        ),
        (
            "ListExamples",
            pb.ListExamplesRequest(dataset="{name}", filter=pb.ExampleFilter.FromString(b"\x08\x09")),
            "INVALID_ARGUMENT",
            "BAD_ENUM",
        ),
        ("RelabelExamples", pb.RelabelExamplesRequest(dataset="{name}"), "INVALID_ARGUMENT", "BAD_COUNT"),
        (
            "DeleteExamples",
            pb.DeleteExamplesRequest(dataset="{name}", sha256=["xyz"]),
            "INVALID_ARGUMENT",
            "BAD_SHA256",
        ),
        (
            "SplitDataset",
            pb.SplitDatasetRequest(dataset="{name}", fractions=pb.SplitFractions(train=0.5)),
            "INVALID_ARGUMENT",
            "BAD_FRACTIONS",
        ),
        (
            "CreateDataset",
            pb.CreateDatasetRequest(name="long-id", request_id="x" * 129),
            "INVALID_ARGUMENT",
            "BAD_REQUEST_ID",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_requests_are_refused(
    stub: Stub, make: Callable[..., str], method: str, request_: Any, code: str, reason: str
) -> None:
    name = make()
    for field in ("name", "dataset"):
        if getattr(request_, field, "") == "{name}":
            request_ = type(request_).FromString(request_.SerializeToString())
            setattr(request_, field, name)
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, method)(request_, timeout=10)
    got, info, _ = refusal(caught.value)
    assert (got.name, info.reason) == (code, reason)


def test_bad_uploads_are_refused_and_keep_what_was_acknowledged(stub: Stub, make: Callable[..., str]) -> None:
    name = make()
    with pytest.raises(grpc.RpcError) as caught:
        upload(stub, "none", [new(tiny_png(0), "a")])
    assert refusal(caught.value)[1].reason == "DATASET_NOT_FOUND"
    with pytest.raises(grpc.RpcError) as caught:
        upload(stub, name, [new(tiny_png(0), "a")], [new(tiny_png(1), "a")] * 257)
    assert refusal(caught.value)[1].reason == "TOO_MANY_IMAGES"
    assert [example.sha256 for example in listed(stub, name)] == [sha(tiny_png(0))]
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.UploadExamples(iter(()), timeout=10))
    assert refusal(caught.value)[1].reason == "EMPTY_STREAM"


def test_datasets_are_listed_by_name(stub: Stub, make: Callable[..., str]) -> None:
    mine = sorted(make() for _ in range(5))
    found, token = [], ""
    while True:
        page = stub.ListDatasets(pb.ListDatasetsRequest(page_size=2, page_token=token), timeout=10)
        found += [dataset.name for dataset in page.datasets]
        if not (token := page.next_page_token):
            break
    assert found == sorted(found)
    assert set(mine) <= set(found)


def test_uploads_larger_than_the_room_wait_for_it(start_server: ServerFactory) -> None:
    # BMP is as large as its pixels: each message of 8 files is twice the room.
    def bmp(number: int) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (320, 320), (number, 0, 0)).save(file, "BMP")
        return file.getvalue()

    with (
        start_server("--max-upload-mb", "1", ready=False) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        stub = Stub(channel)
        stub.CreateDataset(pb.CreateDatasetRequest(name="a"), timeout=10)

        def requests(first: int) -> Iterator[pb.UploadExamplesRequest]:
            yield pb.UploadExamplesRequest(dataset="a")
            for n in range(first, first + 32, 8):
                yield pb.UploadExamplesRequest(examples=[new(bmp(k), "a") for k in range(n, n + 8)])

        left = stub.UploadExamples(requests(0), timeout=60)
        next(left)
        left.cancel()  # gives its room back
        streams = [stub.UploadExamples(requests(first), timeout=60) for first in (0, 32, 64)]
        assert [sum(r.added + r.unchanged for r in stream) for stream in streams] == [32] * 3
        assert stub.GetDataset(pb.GetDatasetRequest(name="a"), timeout=10).dataset.counts.unassigned == 96


def test_a_second_server_on_a_data_directory_refuses(start_server: ServerFactory, tmp_path: Path) -> None:
    with start_server(ready=False):
        flags = ("--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--log-format", "json")
        second = serve(*flags, cwd=tmp_path)
    assert second.returncode == 1
    assert "DATA_DIR_IN_USE" in second.stderr
