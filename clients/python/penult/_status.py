"""From a failed gRPC call to this package's errors, with the details that the server sent along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from penult import errors

_Violation: TypeAlias = "error_details_pb2.BadRequest.FieldViolation"

_CLASSES: dict[grpc.StatusCode, type[errors.PenultError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidArgument,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
    grpc.StatusCode.INTERNAL: errors.Internal,
    grpc.StatusCode.UNKNOWN: errors.Internal,
}

_TOO_LATE = "give a longer timeout=, or look whether the server is busy"
_DEFAULT_HINTS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: _TOO_LATE,
    grpc.StatusCode.UNAUTHENTICATED: "give api_key=, or set PENULT_API_KEY",
    grpc.StatusCode.UNIMPLEMENTED: "the server is of another version, or is not a Penult server",
}


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Raises what gRPC raises inside as a PenultError."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc(error, target) from None


def from_rpc(error: grpc.RpcError, target: str) -> errors.PenultError:
    """Reads code, message and `google.rpc` details of a failed call, sync or asyncio."""
    code: grpc.StatusCode = error.code()
    trailing = dict(cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ()))
    info, violations, retry_after = _details(trailing.get("grpc-status-details-bin", b""))
    metadata = dict(info.metadata)
    hint = metadata.pop("hint", "")
    request_id = metadata.pop("request_id", "") or _text(trailing.get("x-request-id", ""))
    message = _with_fields(error.details() or code.name, violations)
    if not hint and not info.reason:  # nobody but gRPC itself has spoken
        hint = _DEFAULT_HINTS.get(code, "")
        if code is grpc.StatusCode.UNAVAILABLE:
            message = f"no server answers at {target}: {message}"
            hint = "start one with: penult-server serve"
    translation = _CLASSES.get(code, errors.PenultError)(
        message, reason=info.reason or code.name, hint=hint, metadata=metadata, request_id=request_id
    )
    if isinstance(translation, errors.ResourceExhausted):
        translation.retry_after = retry_after
    return translation


def too_late(message: str) -> errors.DeadlineExceeded:
    """For a wait that this side gave up."""
    return errors.DeadlineExceeded(message, reason="DEADLINE_EXCEEDED", hint=_TOO_LATE)


def _with_fields(message: str, violations: Iterable[_Violation]) -> str:
    """The message with the offending fields; a description that says the same is not repeated."""
    whole = message
    for violation in violations:
        if violation.field in whole:
            continue
        repeats = message in violation.description or violation.description in message
        whole = (
            f"{violation.field}: {whole}"
            if repeats
            else f"{whole}; {violation.field}: {violation.description}"
        )
    return whole


def _details(
    packed: str | bytes,
) -> tuple[error_details_pb2.ErrorInfo, list[_Violation], float | None]:
    """ErrorInfo, field violations and seconds until a retry, as far as they were sent and can be read."""
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, found = error_details_pb2.RetryInfo(), None
    try:
        status = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else packed.encode())
        for detail in status.details:
            if not detail.Unpack(info) and not detail.Unpack(violations) and detail.Unpack(retry):
                found = retry.retry_delay.ToTimedelta().total_seconds()
    except DecodeError:  # a proxy in between may have damaged them; code and message still stand
        pass
    return info, list(violations.field_violations), found


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
