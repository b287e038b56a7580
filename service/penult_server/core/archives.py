"""Files that travel between servers: how they are sent and received in pieces."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Protocol

from penult_server.core.errors import DataLoss

CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class FileFacts:
    """A file on its way: its size, and the sha256 of its bytes in lower-case hex."""

    size_bytes: int
    sha256: str


class PackedFile(Protocol):
    """A file that was written for one reader."""

    facts: FileFacts

    def chunks(self) -> Iterator[bytes]:
        """Its bytes in pieces. Blocking."""
        ...

    def discard(self) -> None:
        """Removes it."""
        ...


class ReceivedFile(Protocol):
    """A file that is being received. Blocking."""

    def write(self, chunk: bytes) -> None:
        """Appends bytes. Raises ResourceExhausted where the disk is full."""
        ...

    def facts(self) -> FileFacts:
        """What was written."""
        ...

    def discard(self) -> None:
        """Removes it."""
        ...


async def sent(pack: Callable[[], PackedFile]) -> AsyncGenerator[FileFacts | bytes, None]:
    """The facts of the file that `pack` makes, then its bytes; it is gone afterwards."""
    packed = await asyncio.to_thread(pack)
    try:
        yield packed.facts
        chunks = packed.chunks()
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk
    finally:
        await asyncio.to_thread(packed.discard)


async def receive(received: ReceivedFile, facts: FileFacts, chunks: AsyncIterator[bytes]) -> None:
    """Takes what was announced, and no more. Raises DataLoss where other bytes came."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > facts.size_bytes:
            break
        await asyncio.to_thread(received.write, chunk)
    if size != facts.size_bytes or await asyncio.to_thread(received.facts) != facts:
        raise DataLoss(
            "UPLOAD_DAMAGED",
            f"received {size} bytes that are not the {facts.size_bytes} bytes announced",
            hint="send the file again",
        )
