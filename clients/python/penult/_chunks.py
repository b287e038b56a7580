"""Groups images into messages: large enough to be cheap, small enough to keep memory bounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penult._images import BadImage, image_message, image_name
from penult.sources import single_images
from penult.v1 import image_pb2

if TYPE_CHECKING:
    from penult.sources import ImageLike, ImagesLike

MAX_CHUNK_IMAGES = 16
MAX_CHUNK_BYTES = 1 << 20  # one image above it makes a chunk of its own

# What goes in one interactive call rather than by a stream.
MAX_UNARY_IMAGES = 8
MAX_UNARY_BYTES = 4 << 20


@dataclasses.dataclass(slots=True)
class Chunk:
    """Images of one message. One that cannot be sent travels empty, so that positions stay aligned.

    `faults` gives the local reason for each of those, by position in the chunk.
    """

    images: list[image_pb2.Image] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)
    faults: dict[int, BadImage] = dataclasses.field(default_factory=dict)
    size: int = 0

    def add(self, image: ImageLike) -> None:
        """Reads and appends one image."""
        try:
            message = image_message(image)
        except BadImage as fault:
            self.faults[len(self.images)] = fault
            message = image_pb2.Image(encoded=b"")
        self.size += len(message.encoded) or len(message.pixels.data)
        self.names.append(image_name(image))
        self.images.append(message)

    @property
    def full(self) -> bool:
        """True when it should be sent."""
        return len(self.images) >= MAX_CHUNK_IMAGES or self.size >= MAX_CHUNK_BYTES


def chunks(images: ImagesLike) -> Iterator[Chunk]:
    """Reads images lazily and yields them in order, a message at a time."""
    chunk = Chunk()
    for image in single_images(images):
        chunk.add(image)
        if chunk.full:
            yield chunk
            chunk = Chunk()
    if chunk.images:
        yield chunk


@dataclasses.dataclass(slots=True)
class Head:
    """The first chunks of a collection, read to see whether it fits into one interactive call."""

    chunks: list[Chunk] = dataclasses.field(default_factory=list)

    def add(self, chunk: Chunk) -> bool:
        """Appends a chunk; False once the collection has outgrown one call."""
        self.chunks.append(chunk)
        return self.fits

    @property
    def fits(self) -> bool:
        """True while one call can take all."""
        count = sum(len(chunk.images) for chunk in self.chunks)
        return count <= MAX_UNARY_IMAGES and sum(chunk.size for chunk in self.chunks) < MAX_UNARY_BYTES

    def merged(self) -> Chunk:
        """All of them as one chunk."""
        if len(self.chunks) == 1:
            return self.chunks[0]
        whole = Chunk()
        for chunk in self.chunks:
            offset = len(whole.images)
            whole.images += chunk.images
            whole.names += chunk.names
            whole.faults |= {offset + position: fault for position, fault in chunk.faults.items()}
            whole.size += chunk.size
        return whole


def read_head(source: Iterator[Chunk]) -> Head:
    """Takes chunks until the source ends or one call is not enough; the rest stays in `source`."""
    head = Head()
    for chunk in source:
        if not head.add(chunk):
            break
    return head
