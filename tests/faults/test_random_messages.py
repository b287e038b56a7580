"""Messages that are well-formed and make no sense: every rpc answers each with a status that says why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penult._status import from_rpc
from tests.architecture.test_scopes import methods
from tests.e2e.conftest import RunningServer, running_server

EXAMPLES = 400 if os.environ.get("PENULT_TEST_LONG") else 12
"""Messages for each rpc."""
FAULTS = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED)
"""Statuses that no message may get; the last would mean an rpc that nobody has written."""
INNER = ("Traceback", 'File "', "site-packages", "penult_server", "/tmp/", "tortured", "object at 0x")
"""What would show in an error what only the server's own people may see; its data is below `tortured`."""
METHODS = {f"/{method.containing_service.full_name}/{method.name}": method for method in methods()}
NAMES = st.sampled_from(["a", "b", "..", "/etc/passwd", "a/../../b", "A", "tf_efficientnet_lite0", "x" * 300])
TEXT = st.one_of(NAMES, st.text(max_size=20))
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1)),
    FieldDescriptor.CPPTYPE_UINT64: st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1)),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(-1, 12),
}


@st.composite
def messages(draw: st.DrawFn, kind: Any, depth: int = 0) -> Message:
    """Any message of this kind, with some of its fields set to anything."""
    message: Message = GetMessageClass(kind)()
    for field in kind.fields:
        if depth > 3 or not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in draw(st.lists(TEXT, max_size=2)):
                entry = draw(messages(field.message_type, depth + 1))
                target = getattr(message, field.name)
                if field.message_type.fields_by_name["value"].message_type is None:
                    target[key] = entry.value  # type: ignore[attr-defined]
                else:
                    target[key].CopyFrom(entry.value)  # type: ignore[attr-defined]
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values(field, depth), max_size=3)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values(field, depth)))
        else:
            setattr(message, field.name, draw(values(field, depth)))
    return message


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Any value of this field."""
    if field.message_type is not None:
        return messages(field.message_type, depth + 1)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return TEXT if field.type == FieldDescriptor.TYPE_STRING else st.binary(max_size=40)
    return SCALARS[field.cpp_type]


@pytest.fixture(scope="module")
def tortured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that nobody else needs; at the end it has logged no fault of its own, and works."""
    with running_server(tmp_path_factory.mktemp("tortured") / "data", "--no-allow-download") as server:
        yield server
        assert [event for event in server.events if event["event"] == "internal_error"] == []
        assert server.terminate() == 0


@pytest.fixture(scope="module")
def wire(tortured: RunningServer) -> Iterator[grpc.Channel]:
    """To that server."""
    with grpc.insecure_channel(tortured.target) as channel:
        yield channel


@pytest.mark.parametrize("name", sorted(METHODS))
def test_senseless_messages_get_a_status_that_says_why(
    wire: grpc.Channel, name: str, count: Callable[..., None]
) -> None:
    method: MethodDescriptor = METHODS[name]
    stream: Any = wire.stream_stream(name)
    statuses: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(messages(method.input_type), min_size=1, max_size=2 if method.client_streaming else 1))
    def send(sent: list[Message]) -> None:
        try:
            for _ in stream(iter([message.SerializeToString() for message in sent]), timeout=60):
                pass
            statuses["OK"] += 1
        except grpc.RpcError as error:
            assert error.code() not in FAULTS, (error.code(), error.details(), sent)  # noqa: PT017
            assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED, sent  # noqa: PT017
            statuses[error.code().name] += 1
            told = from_rpc(error, "")
            assert (told.reason.isupper(), bool(told.request_id)) == (True, True), (error, sent)  # noqa: PT017
            said = f"{told.message} {told.hint} {told.metadata}"
            assert not any(inner in said for inner in INNER), (said, sent)

    send()
    count(random_messages=sum(statuses.values()), **statuses)
