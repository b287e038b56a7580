"""Errors as they come over a real connection."""

from __future__ import annotations

import pickle
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2

import penult


def failing(known: Any, code: grpc.StatusCode, *details: Any) -> penult.PenultError:
    known.servicer.fail = [(code, list(details))] * 10
    with penult.Client(known.target) as client, pytest.raises(penult.PenultError) as caught:
        client.extract(b"x")
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, penult.InvalidArgument),
        (grpc.StatusCode.NOT_FOUND, penult.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, penult.AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, penult.FailedPrecondition),
        (grpc.StatusCode.UNAVAILABLE, penult.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, penult.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, penult.Cancelled),
        (grpc.StatusCode.UNAUTHENTICATED, penult.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, penult.PermissionDenied),
        (grpc.StatusCode.DATA_LOSS, penult.DataLoss),
        (grpc.StatusCode.INTERNAL, penult.Internal),
        (grpc.StatusCode.UNKNOWN, penult.Internal),
        (grpc.StatusCode.UNIMPLEMENTED, penult.PenultError),
    ],
)
def test_each_code_has_its_class(known: Any, code: grpc.StatusCode, kind: type) -> None:
    error = failing(known, code)
    assert type(error) is kind
    assert error.reason == code.name


def test_reason_hint_facts_and_request_id_arrive(known: Any, error_info: Any) -> None:
    error = failing(known, grpc.StatusCode.NOT_FOUND, error_info)
    assert (error.message, error.reason) == ("scripted", "BACKBONE_NOT_FOUND")
    assert (error.hint, error.request_id) == ("did you mean resnet50?", "r-1")
    assert error.metadata == {"near": "resnet50"}
    assert str(error) == "scripted (did you mean resnet50?)"


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("above 2", "scripted; options.tta.scales[0]: above 2"),
        ("scripted (below 2 please)", "options.tta.scales[0]: scripted"),
    ],
)
def test_offending_fields_are_named_once(known: Any, description: str, message: str) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="options.tta.scales[0]", description=description
    )
    error = failing(
        known,
        grpc.StatusCode.INVALID_ARGUMENT,
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
    assert error.message == message


def test_overloaded_server_says_when_to_come_back(known: Any) -> None:
    delay = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000))
    error = failing(known, grpc.StatusCode.RESOURCE_EXHAUSTED, delay)
    assert isinstance(error, penult.ResourceExhausted)
    assert error.retry_after == 1.5


def test_details_of_an_unknown_kind_are_passed_over(known: Any, error_info: Any) -> None:
    link = error_details_pb2.Help(links=[error_details_pb2.Help.Link(url="docs")])
    assert failing(known, grpc.StatusCode.NOT_FOUND, link, error_info).reason == "BACKBONE_NOT_FOUND"


def test_no_server_says_how_to_start_one() -> None:
    with penult.Client("127.0.0.1:1") as client, pytest.raises(penult.Unavailable) as caught:
        client.health()
    assert "127.0.0.1:1" in caught.value.message
    assert "penult-server serve" in caught.value.hint


def test_errors_survive_a_pickle(known: Any, error_info: Any) -> None:
    error = failing(known, grpc.StatusCode.NOT_FOUND, error_info)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is penult.NotFound
    assert vars(copy) == vars(error)
    failed = penult.ItemFailed.of([penult.ItemError(3, "IMAGE_CORRUPT", "bad", "a.jpg")])
    assert pickle.loads(pickle.dumps(failed)).errors == failed.errors
