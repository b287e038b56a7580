from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from penult_server.core import errors
from penult_server.transport.errors import CODES, to_status

DETAILS = {
    message.DESCRIPTOR.full_name: message
    for message in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
}


def unpack(status: grpc.Status) -> tuple[status_pb2.Status, dict[str, object]]:
    trailers = dict(status.trailing_metadata)
    message = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    found = {}
    for packed in message.details:
        assert isinstance(packed, Any)
        kind = DETAILS[packed.TypeName()]()
        packed.Unpack(kind)
        found[kind.DESCRIPTOR.name] = kind
    return message, found


def test_every_refusal_of_core_has_a_code_and_none_is_unknown() -> None:
    def tree(kind: type) -> set[type]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    assert set(CODES) == tree(errors.PenultError) - {errors.PenultError}
    assert grpc.StatusCode.UNKNOWN not in CODES.values()
    assert len(set(CODES.values())) == len(CODES)


def test_reason_hint_metadata_and_request_id_travel_in_error_info() -> None:
    error = errors.NotFound("BACKBONE_UNKNOWN", "no such backbone", hint="see the list", near="resnet50")
    status = to_status(error, "req-1")
    message, found = unpack(status)
    info = found["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert status.code is grpc.StatusCode.NOT_FOUND
    assert message.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert message.message == status.details == "no such backbone"
    assert (info.reason, info.domain) == ("BACKBONE_UNKNOWN", "penult")
    assert dict(info.metadata) == {"near": "resnet50", "hint": "see the list", "request_id": "req-1"}


def test_a_wrong_field_is_named() -> None:
    _, found = unpack(to_status(errors.InvalidArgument("BAD", "too big", field="options.tta"), "r"))
    bad = found["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [v.field for v in bad.field_violations] == ["options.tta"]


@pytest.mark.parametrize("delay", [0.05, 2.5])
def test_overload_says_when_to_come_back(delay: float) -> None:
    _, found = unpack(to_status(errors.ResourceExhausted("FULL", "full", retry_after=delay), "r"))
    retry = found["RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToNanoseconds() / 1e9 == pytest.approx(delay)


def test_a_bound_that_no_retry_can_pass_carries_no_delay() -> None:
    _, found = unpack(to_status(errors.ResourceExhausted("TOO_LARGE", "too large"), "r"))
    assert "RetryInfo" not in found
