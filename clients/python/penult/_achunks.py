"""Reading and grouping images for asyncio: files are read in a thread, so that the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import TYPE_CHECKING

from penult._chunks import MAX_CHUNK_IMAGES, Chunk, Head, chunks

if TYPE_CHECKING:
    from penult.sources import ImageLike, ImagesLike

    AsyncImagesLike = ImagesLike | AsyncIterable[ImageLike]


async def achunks(images: AsyncImagesLike) -> AsyncIterator[Chunk]:
    """Reads images lazily and yields them in order, a message at a time."""
    if isinstance(images, bytes | bytearray | memoryview):  # nothing to wait for: a thread would cost more
        for chunk in chunks(images):
            yield chunk
        return
    if not isinstance(images, AsyncIterable):
        async for chunk in _in_thread(chunks(images)):
            yield chunk
        return
    async for group in _groups(images):
        async for chunk in _in_thread(chunks(group)):
            yield chunk


async def read_head_async(source: AsyncIterator[Chunk]) -> Head:
    """Takes chunks until the source ends or one call is not enough; the rest stays in `source`."""
    head = Head()
    async for chunk in source:
        if not head.add(chunk):
            break
    return head


async def _in_thread(source: Iterator[Chunk]) -> AsyncIterator[Chunk]:
    while (chunk := await asyncio.to_thread(next, source, None)) is not None:
        yield chunk


async def _groups(images: AsyncIterable[ImageLike]) -> AsyncIterator[list[ImageLike]]:
    group: list[ImageLike] = []
    async for image in images:
        group.append(image)
        if len(group) == MAX_CHUNK_IMAGES:
            yield group
            group = []
    if group:
        yield group
