"""Bytes that are no message: gRPC would answer UNKNOWN, we answer INVALID_ARGUMENT with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from penult_server.core.errors import InvalidArgument

_MALFORMED = object()


def tolerant(
    deserialize: Callable[[bytes], Any] | None, received: Callable[[int], None]
) -> Callable[[bytes], Any]:
    """A deserializer that lets malformed bytes through to `checked`, which has a call to answer.

    `received` hears the size of each message.
    """

    def parse(data: bytes) -> Any:
        received(len(data))
        if deserialize is None:  # a handler that takes raw bytes
            return data
        try:
            return deserialize(data)
        except DecodeError:
            return _MALFORMED

    return parse


def checked(request: Any) -> Any:
    """A request as the handler wants it. Raises InvalidArgument if malformed."""
    if request is _MALFORMED:
        raise InvalidArgument(
            "MALFORMED_REQUEST",
            "the bytes of the request are no message of this method",
            hint="generate the client from the protos of this server's version",
        )
    return request
