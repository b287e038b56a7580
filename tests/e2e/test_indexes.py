"""IndexService on the wire: what bad input gets, and what a repeat and a stream do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from penult.v1 import (
    feature_pb2,
    image_pb2,
    index_pb2_grpc,
    index_resource_pb2,
    tensor_pb2,
)
from penult.v1 import index_pb2 as pb
from tests.pictures import tiny_png

DIM = 4
NUMBERS = itertools.count()
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return index_pb2_grpc.IndexServiceStub(channel)


@pytest.fixture
def name(stub: Any) -> Iterator[str]:
    """An empty index of the test's own."""
    chosen = f"wire-{next(NUMBERS)}"
    stub.CreateIndex(
        pb.CreateIndexRequest(name=chosen, spec=index_resource_pb2.IndexSpec(dim=DIM)), timeout=60
    )
    yield chosen
    stub.DeleteIndex(pb.DeleteIndexRequest(name=chosen), timeout=60)


def tensor(rows: Any) -> tensor_pb2.Tensor:
    array = np.asarray(rows, np.float32)
    return tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT32, shape=array.shape, data=array.tobytes())


def items(ids: Any, rows: Any, *, metadata: str = "", **fields: Any) -> pb.NewItems:
    return pb.NewItems(
        items=[pb.NewItem(id=key, metadata_json=metadata) for key in ids], vectors=tensor(rows), **fields
    )


def add(stub: Any, name: str, new: pb.NewItems, request_id: str = "") -> pb.AddReceipt:
    request = pb.AddItemsRequest(index=name, items=new, request_id=request_id)
    receipt: pb.AddReceipt = stub.AddItems(request, timeout=60).receipt
    return receipt


def refused(call: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    status: Any = rpc_status.from_call(caught.value)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    code: grpc.StatusCode = caught.value.code()
    return code, info.reason, dict(info.metadata)


def count(stub: Any, name: str) -> int:
    return int(stub.GetIndex(pb.GetIndexRequest(name=name), timeout=60).index.item_count)


BAD = grpc.StatusCode.INVALID_ARGUMENT
EYE = np.eye(DIM)
UNKNOWN_METRIC: Any = 9


@pytest.mark.parametrize(
    ("new", "code", "reason"),
    [
        (items("ab", np.ones((2, 5))), BAD, "DIMENSION_MISMATCH"),
        (items("ab", EYE[:1]), BAD, "COUNT_MISMATCH"),
        (items("ab", EYE[:2], fingerprint="f"), grpc.StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"),
        (items("ab", EYE[:2], mode=9), BAD, "BAD_ENUM"),
        (
            pb.NewItems(items=[pb.NewItem(id="a")], vectors=tensor_pb2.Tensor(shape=[1, DIM])),
            BAD,
            "BAD_TENSOR",
        ),
        (pb.NewItems(items=[pb.NewItem(id="a")]), BAD, "ITEMS_MIXED"),
        (
            pb.NewItems(items=[pb.NewItem(id="a", image=image_pb2.Image(encoded=tiny_png(1)))]),
            grpc.StatusCode.FAILED_PRECONDITION,
            "INDEX_TAKES_VECTORS",
        ),
        (items(map(str, range(10_001)), np.ones((10_001, DIM))), BAD, "TOO_MANY_ITEMS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_message_writes_nothing(stub: Any, name: str, new: Any, code: Any, reason: str) -> None:
    found = refused(lambda: add(stub, name, new))
    assert found[:2] == (code, reason)
    if reason == "FINGERPRINT_MISMATCH":
        assert {key: found[2][key] for key in ("given", "index")} == {"given": "f", "index": ""}
    assert count(stub, name) == 0


def test_a_wrong_item_hurts_no_other(stub: Any, name: str) -> None:
    rows = np.vstack([EYE, EYE])
    rows[1], rows[2], rows[3] = NAN, 0, [INFINITE, 0, 0, 0]
    ids = ["good", "nan", "zero", "inf", "x" * 513, "", "same", "same"]
    receipt = add(stub, name, items(ids, rows))
    assert receipt.added == 1
    assert [(error.index, error.reason) for error in receipt.errors] == [
        (1, "VECTOR_NOT_FINITE"), (2, "VECTOR_ZERO"), (3, "VECTOR_NOT_FINITE"), (4, "ID_INVALID"),
        (5, "ID_INVALID"), (6, "ID_REPEATED"), (7, "ID_REPEATED"),
    ]  # fmt: skip
    bad = add(stub, name, items("a", EYE[:1], metadata="[1]"))
    assert [error.reason for error in bad.errors] == ["METADATA_INVALID"]
    taken = add(stub, name, items(["good"], EYE[1:2]))
    assert [error.reason for error in taken.errors] == ["ITEM_EXISTS"]
    assert count(stub, name) == 1


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({}, BAD, "NO_QUERIES"),
        ({"vectors": tensor(EYE), "k": 10_001}, BAD, "K_INVALID"),
        ({"vectors": tensor(np.ones((1, 3)))}, BAD, "DIMENSION_MISMATCH"),
        ({"vectors": tensor(EYE), "ids": ["a"]}, BAD, "QUERIES_MIXED"),
        ({"vectors": tensor(EYE), "filter": "price <"}, BAD, "FILTER_INVALID"),
        ({"vectors": tensor(EYE), "filter": "price < true"}, BAD, "FILTER_INVALID"),
        ({"vectors": tensor(EYE), "min_score": NAN}, BAD, "MIN_SCORE_INVALID"),
        ({"vectors": tensor(np.ones((4097, DIM)))}, BAD, "TOO_MANY_QUERIES"),
        ({"vectors": tensor(np.ones((1000, DIM))), "k": 1000}, BAD, "TOO_MANY_HITS"),
        (
            {"vectors": tensor(EYE), "fingerprint": "f"},
            grpc.StatusCode.FAILED_PRECONDITION,
            "FINGERPRINT_MISMATCH",
        ),
        (
            {"images": [image_pb2.Image(encoded=b"x")]},
            grpc.StatusCode.FAILED_PRECONDITION,
            "INDEX_TAKES_VECTORS",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_search_says_what_is_wrong(stub: Any, name: str, fields: Any, code: Any, reason: str) -> None:
    add(stub, name, items("ab", EYE[:2]))
    found = refused(lambda: stub.Search(pb.SearchRequest(index=name, **fields), timeout=60))
    assert found[:2] == (code, reason)


def test_a_wrong_query_hurts_no_other(stub: Any, name: str) -> None:
    add(stub, name, items("ab", EYE[:2]))
    rows = np.vstack([EYE[:1], np.zeros((1, DIM)), EYE[1:2]])
    response = stub.Search(pb.SearchRequest(index=name, vectors=tensor(rows), k=1), timeout=60)
    assert [[hit.id for hit in result.hits] for result in response.results] == [["a"], [], ["b"]]
    assert [(error.index, error.reason) for error in response.errors] == [(1, "VECTOR_ZERO")]
    response = stub.Search(pb.SearchRequest(index=name, ids=["none", "a"]), timeout=60)
    assert [[hit.id for hit in result.hits] for result in response.results] == [[], ["b"]]
    assert [error.reason for error in response.errors] == ["ITEM_NOT_FOUND"]
    response = stub.Search(pb.SearchRequest(index=name, ids=["none", "a"], in_columns=True), timeout=60)
    assert (list(response.columns.counts), list(response.columns.ids)) == ([0, 1], ["b"])
    assert [error.index for error in response.errors] == [0]


def test_equal_scores_come_by_id(stub: Any, name: str) -> None:
    add(stub, name, items("dbca", [[1, 0, 0, 0]] * 4))
    add(stub, name, items("e", [[0, 1, 0, 0]]))
    response = stub.Search(pb.SearchRequest(index=name, vectors=tensor([[1, 0, 0, 0]])), timeout=60)
    assert [hit.id for hit in response.results[0].hits] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"name": "Bad Name"}, BAD, "BAD_NAME"),
        ({"spec": index_resource_pb2.IndexSpec()}, BAD, "DIMENSION_INVALID"),
        ({"spec": index_resource_pb2.IndexSpec(dim=4, kind="none")}, BAD, "INDEX_KIND_UNKNOWN"),
        ({"spec": index_resource_pb2.IndexSpec(dim=4, metric=UNKNOWN_METRIC)}, BAD, "BAD_ENUM"),
        ({"label_field": 'a"b'}, BAD, "LABEL_FIELD_INVALID"),
        (
            {
                "spec": index_resource_pb2.IndexSpec(
                    steps=[index_resource_pb2.RetrievalStep(name="none")], dim=4
                )
            },
            BAD,
            "STEP_UNKNOWN",
        ),
        (
            {"options": feature_pb2.FeatureOptions(), "spec": index_resource_pb2.IndexSpec(dim=3)},
            BAD,
            "DIMENSION_MISMATCH",
        ),
        (
            {"options": feature_pb2.FeatureOptions(backbone="no_such_backbone")},
            grpc.StatusCode.NOT_FOUND,
            "BACKBONE_UNKNOWN",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_made_is_refused(stub: Any, fields: Any, code: Any, reason: str) -> None:
    request = pb.CreateIndexRequest(
        **{"name": "refused", "spec": index_resource_pb2.IndexSpec(dim=4), **fields}
    )
    assert refused(lambda: stub.CreateIndex(request, timeout=60))[:2] == (code, reason)
    assert (
        refused(lambda: stub.GetIndex(pb.GetIndexRequest(name="refused"), timeout=60))[1] == "INDEX_NOT_FOUND"
    )


def test_an_unknown_index_is_told_by_every_call(stub: Any) -> None:
    calls = [
        lambda: stub.GetIndex(pb.GetIndexRequest(name="none"), timeout=60),
        lambda: add(stub, "none", items("a", EYE[:1])),
        lambda: list(stub.AddItemsStream(iter([pb.AddItemsStreamRequest(index="none")]), timeout=60)),
        lambda: stub.RemoveItems(pb.RemoveItemsRequest(index="none", ids=["a"]), timeout=60),
        lambda: stub.GetItems(pb.GetItemsRequest(index="none"), timeout=60),
        lambda: stub.ListItems(pb.ListItemsRequest(index="none"), timeout=60),
        lambda: stub.Search(pb.SearchRequest(index="none", ids=["a"]), timeout=60),
        lambda: stub.GetIndexStats(pb.GetIndexStatsRequest(index="none"), timeout=60),
        lambda: stub.EvaluateIndex(pb.EvaluateIndexRequest(index="none"), timeout=60),
        lambda: stub.OptimizeIndex(pb.OptimizeIndexRequest(index="none"), timeout=60),
        lambda: stub.FindNearDuplicates(pb.FindNearDuplicatesRequest(index="none"), timeout=60),
        lambda: list(stub.SnapshotIndex(pb.SnapshotIndexRequest(index="none"), timeout=60)),
        lambda: stub.SetIndexAlias(pb.SetIndexAliasRequest(alias="x", index="none"), timeout=60),
        lambda: stub.DeleteIndex(pb.DeleteIndexRequest(name="none"), timeout=60),
    ]
    for call in calls:
        assert refused(call)[:2] == (grpc.StatusCode.NOT_FOUND, "INDEX_NOT_FOUND")


def test_a_repeat_is_the_same_write(stub: Any, name: str) -> None:
    first = add(stub, name, items("ab", EYE[:2]), "one")
    stub.RemoveItems(pb.RemoveItemsRequest(index=name, ids=["a"], request_id="two"), timeout=60)
    assert add(stub, name, items("ab", EYE[:2]), "one") == first
    assert count(stub, name) == 1
    again = stub.RemoveItems(pb.RemoveItemsRequest(index=name, ids=["a"], request_id="two"), timeout=60)
    assert (again.removed, again.missing) == (1, 0)
    other = pb.RemoveItemsRequest(index=name, ids=["b"], request_id="one")
    assert refused(lambda: stub.RemoveItems(other, timeout=60))[1] == "REQUEST_ID_REUSED"
    assert count(stub, name) == 1


def test_a_stream_answers_each_message_and_repeats(stub: Any, name: str) -> None:
    def requests(sizes: Any) -> Iterator[pb.AddItemsStreamRequest]:
        yield pb.AddItemsStreamRequest(index=name, request_id="stream")
        for number, size in enumerate(sizes):
            ids = [f"{number}-{n}" for n in range(size)]
            yield pb.AddItemsStreamRequest(items=items(ids, np.ones((size, DIM))))

    receipts = [response.receipt for response in stub.AddItemsStream(requests([3, 0, 2]), timeout=60)]
    assert [(receipt.first_index, receipt.added) for receipt in receipts] == [(0, 0), (0, 3), (3, 0), (3, 2)]
    again = [response.receipt for response in stub.AddItemsStream(requests([3, 0, 2, 4]), timeout=60)]
    assert again[:4] == receipts
    assert (again[4].first_index, again[4].added, count(stub, name)) == (5, 4, 9)
    assert refused(lambda: list(stub.AddItemsStream(requests([2]), timeout=60)))[1] == "REQUEST_ID_REUSED"


def test_an_index_with_an_alias_is_not_deleted(stub: Any, name: str) -> None:
    stub.SetIndexAlias(pb.SetIndexAliasRequest(alias="wire-alias", index=name), timeout=60)
    found = refused(lambda: stub.DeleteIndex(pb.DeleteIndexRequest(name=name), timeout=60))
    assert found[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "INDEX_HAS_ALIAS")
    taken = pb.CreateIndexRequest(name="wire-alias", spec=index_resource_pb2.IndexSpec(dim=4))
    assert refused(lambda: stub.CreateIndex(taken, timeout=60))[:2] == (
        grpc.StatusCode.ALREADY_EXISTS,
        "INDEX_EXISTS",
    )
    stub.DeleteIndexAlias(pb.DeleteIndexAliasRequest(alias="wire-alias"), timeout=60)
