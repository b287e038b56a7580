"""Between messages and files that travel in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from penult.v1 import index_pb2
from penult_server.core.archives import FileFacts
from penult_server.core.errors import InvalidArgument


def part_to_wire(response: type[Any], part: FileFacts | bytes) -> Any:
    """A piece of a file as such a response, or what comes before the first piece."""
    if isinstance(part, bytes):
        return response(chunk=part)
    return response(header=index_pb2.FileHeader(size_bytes=part.size_bytes, sha256=part.sha256))


def facts_from_wire(file: index_pb2.FileHeader) -> FileFacts:
    """What a file is to be."""
    return FileFacts(file.size_bytes, file.sha256)


async def header_of(requests: AsyncIterator[Any]) -> Any:
    """The header that comes first. Raises InvalidArgument NO_HEADER."""
    first = await anext(aiter(requests), None)
    if first is None or first.WhichOneof("payload") != "header":
        raise InvalidArgument("NO_HEADER", "the first message must carry the header", field="header")
    return first.header


async def chunks_of(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """What comes after the header. Raises InvalidArgument SECOND_HEADER."""
    async for request in requests:
        if request.WhichOneof("payload") != "chunk":
            raise InvalidArgument(
                "SECOND_HEADER", "only the first message may carry a header", field="header"
            )
        yield request.chunk
