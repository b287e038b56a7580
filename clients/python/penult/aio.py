"""The client for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Literal, overload

from grpc_health.v1 import health_pb2_grpc

from penult._achunks import achunks, read_head_async
from penult._batches import Pending, apply_on_error, batch_part, feature_batch
from penult._channel import Endpoint, Tls
from penult._chunks import Chunk
from penult._collect import Collector
from penult._health import HEALTH_TIMEOUT, health, health_request
from penult._link import AsyncLink
from penult._options import FeatureChoices, check_on_error, feature_options, stream_request
from penult._progress import progress_bar
from penult._stream import stream_batches_async
from penult._together import Together
from penult.aio_datasets import AsyncDatasets
from penult.aio_indexes import AsyncIndexes
from penult.aio_jobs import AsyncJobs
from penult.aio_models import AsyncModels
from penult.backbones import AsyncBackbones
from penult.sources import count_hint
from penult.tta import TTA
from penult.types import FeatureBatch, FeatureDType, Features, Health, ItemError, OnError, Pooling
from penult.v1 import feature_pb2, feature_pb2_grpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from penult._achunks import AsyncImagesLike


class AsyncClient:
    """`Client` for asyncio; that explains all arguments. Belongs to the event loop of its first call.

    Where images are wanted an asynchronous iterable is accepted too. Files are read in a thread.

    Calls of `extract` or `models.predict` with few images that are made at once, as by the handlers of a web
    server, share messages where they ask for the same: that is less work for both sides. With
    `together=False` each travels alone. Either way an image that cannot be used fails in its own call only.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        api_key: str | None = None,
        tls: Tls | bool | None = None,
        timeout: float = 120.0,
        together: bool = True,
    ) -> None:
        self._endpoint = Endpoint(target, api_key, tls, timeout)
        self._link = AsyncLink(self._endpoint, together)
        self._together = Together(batch_part, self._link)
        self.backbones = AsyncBackbones(self._link)
        self.datasets = AsyncDatasets(self._link)
        self.models = AsyncModels(self._link)
        self.indexes = AsyncIndexes(self._link)
        self.jobs = AsyncJobs(self._link)

    @overload
    async def extract(
        self,
        images: AsyncImagesLike,
        backbone: str | None = None,
        *,
        progress: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> Features: ...

    @overload
    async def extract(
        self,
        images: AsyncImagesLike,
        backbone: str | None = None,
        *,
        progress: bool = False,
        on_error: Literal["return"],
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> tuple[Features, list[ItemError]]: ...

    async def extract(
        self,
        images: AsyncImagesLike,
        backbone: str | None = None,
        *,
        tta: TTA = None,
        l2: bool = False,
        dtype: FeatureDType = "float32",
        layer: str | None = None,
        pooling: Pooling | None = None,
        progress: bool = False,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> Features | tuple[Features, list[ItemError]]:
        """Features of any number of images, (N, dim), one row for each; see `Client.extract`."""
        batch = await self.extract_with_info(
            images, backbone, progress=progress, on_error=on_error, timeout=timeout,
            tta=tta, l2=l2, dtype=dtype, layer=layer, pooling=pooling,
        )  # fmt: skip
        return (batch.features, list(batch.errors)) if on_error == "return" else batch.features

    async def extract_with_info(
        self,
        images: AsyncImagesLike,
        backbone: str | None = None,
        *,
        progress: bool = False,
        on_error: OnError = "raise",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> FeatureBatch:
        """Like `extract`, with fingerprint, backbone, the name of each row, and the errors."""
        check_on_error(on_error)
        options = feature_options(backbone, **choices)
        collector = Collector(count_hint(images), on_error)
        source = achunks(images)
        head = await read_head_async(source)
        if not head.chunks:
            return collector.result()
        with progress_bar(progress, count_hint(images)) as advance:
            if head.fits:
                collector.add(await self._extract_few(head.merged(), options, timeout))
                return collector.result()

            async def everything() -> AsyncIterator[Chunk]:
                for chunk in head.chunks:
                    yield chunk
                async for chunk in source:
                    yield chunk

            async with contextlib.aclosing(self._stream(everything(), options, timeout)) as batches:
                async for batch in batches:
                    collector.add(batch)
                    advance(len(batch.names))
        return collector.result()

    async def extract_iter(
        self,
        images: AsyncImagesLike,
        backbone: str | None = None,
        *,
        on_error: OnError = "raise",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> AsyncGenerator[FeatureBatch, None]:
        """Like `extract_with_info`, but yields batches in order; see `Client.extract_iter`."""
        check_on_error(on_error)
        options = feature_options(backbone, **choices)
        async with contextlib.aclosing(self._stream(achunks(images), options, timeout)) as batches:
            async for batch in batches:
                yield apply_on_error(batch, on_error)

    async def health(self, *, timeout: float = HEALTH_TIMEOUT) -> Health:
        """Whether the server works. Raises Unavailable where none answers."""
        stub = self._link.stub(health_pb2_grpc.HealthStub)
        return health(await self._link.call(stub.Check, health_request(), timeout))

    async def close(self) -> None:
        """Closes the connection; calls in progress end with Cancelled."""
        await self._link.close()

    async def _extract_few(
        self, chunk: Chunk, options: feature_pb2.FeatureOptions, timeout: float | None
    ) -> FeatureBatch:
        async def send(chunk: Chunk) -> FeatureBatch:
            pending = Pending(feature_batch)
            pending.push(chunk)
            request = feature_pb2.ExtractRequest(options=options, images=chunk.images)
            return pending.answer(await self._link.call(self._stub.Extract, request, timeout))

        kind = options.SerializeToString(deterministic=True)
        return await self._together.call(kind, chunk, send, timeout)

    def _stream(
        self, source: AsyncIterator[Chunk], options: feature_pb2.FeatureOptions, timeout: float | None
    ) -> AsyncGenerator[FeatureBatch, None]:
        return stream_batches_async(
            self._stub.ExtractStream, source, stream_request(options), Pending(feature_batch),
            self._endpoint, timeout,
        )  # fmt: skip

    @property
    def _stub(self) -> Any:
        return self._link.stub(feature_pb2_grpc.FeatureServiceStub)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._endpoint.target!r})"
