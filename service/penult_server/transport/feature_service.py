"""FeatureService: images in, features out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import grpc

from penult.v1 import feature_pb2, feature_pb2_grpc, image_pb2
from penult_server.core.errors import InvalidArgument
from penult_server.core.extract import ExtractFeatures
from penult_server.core.images import SourceImage
from penult_server.transport.convert_features import options_from_wire
from penult_server.transport.convert_images import image_from_wire, item_error_to_wire, tensor_to_wire

Context = grpc.aio.ServicerContext


class FeatureService(feature_pb2_grpc.FeatureServiceServicer):
    """See protos/penult/v1/feature.proto."""

    def __init__(self, extract: ExtractFeatures) -> None:
        """`extract`: the use case."""
        self._extract = extract

    async def Extract(
        self, request: feature_pb2.ExtractRequest, context: Context
    ) -> feature_pb2.ExtractResponse:
        """Features of one batch."""
        batch = await self._extract.extract(_images(request.images), options_from_wire(request.options))
        return feature_pb2.ExtractResponse(
            features=tensor_to_wire(batch.features),
            errors=map(item_error_to_wire, batch.errors),
            fingerprint=batch.fingerprint,
            backbone=batch.backbone,
        )

    async def ExtractStream(
        self, requests: AsyncIterator[feature_pb2.ExtractStreamRequest], context: Context
    ) -> AsyncIterator[feature_pb2.ExtractStreamResponse]:
        """Features of every message, in order."""
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("EMPTY_STREAM", "the stream ended before its first message")
        options = options_from_wire(first.options)
        first_index = 0
        async for batch in self._extract.stream(_batches(first, requests), options):
            yield feature_pb2.ExtractStreamResponse(
                first_index=first_index,
                features=tensor_to_wire(batch.features),
                errors=map(item_error_to_wire, batch.errors),
                ids=batch.ids,
                fingerprint=batch.fingerprint,
                backbone=batch.backbone,
            )
            first_index += len(batch.features)


def _images(images: Iterable[image_pb2.Image]) -> list[SourceImage]:
    return [image_from_wire(image) for image in images]


async def _batches(
    first: feature_pb2.ExtractStreamRequest, rest: AsyncIterator[feature_pb2.ExtractStreamRequest]
) -> AsyncIterator[list[SourceImage]]:
    yield _images(first.images)
    async for request in rest:
        yield _images(request.images)
