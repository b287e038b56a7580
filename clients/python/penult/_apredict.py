"""`client.models.predict` for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Literal, overload

from penult._achunks import achunks, read_head_async
from penult._batches import Pending
from penult._chunks import Chunk
from penult._link import AsyncLink
from penult._models import Predictions, kept, prediction_batch, prediction_part, stream_request
from penult._options import check_on_error
from penult._progress import progress_bar
from penult._stream import stream_batches_async
from penult._together import Together
from penult.model_types import Prediction, PredictionBatch
from penult.sources import count_hint
from penult.types import ItemError, OnError
from penult.v1 import model_pb2 as pb
from penult.v1 import model_pb2_grpc

if TYPE_CHECKING:
    from penult._achunks import AsyncImagesLike


class AsyncPredicting:
    """The part of `AsyncModels` that uses them."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link
        self._together = Together(prediction_part, link)

    @overload
    async def predict(
        self,
        name: str,
        images: AsyncImagesLike,
        top_k: int = 5,
        *,
        progress: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        timeout: float | None = None,
    ) -> list[Prediction]: ...

    @overload
    async def predict(
        self,
        name: str,
        images: AsyncImagesLike,
        top_k: int = 5,
        *,
        progress: bool = False,
        on_error: Literal["return"],
        timeout: float | None = None,
    ) -> tuple[list[Prediction | None], list[ItemError]]: ...

    async def predict(
        self,
        name: str,
        images: AsyncImagesLike,
        top_k: int = 5,
        *,
        progress: bool = False,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> Any:
        """What a model says of any number of images; see `Models.predict`."""
        check_on_error(on_error)
        found = Predictions(on_error)
        source = achunks(images)
        head = await read_head_async(source)
        if not head.chunks:
            return found.result()
        with progress_bar(progress, count_hint(images), "predict") as advance:
            if head.fits:
                found.add(await self._predict_few(name, head.merged(), top_k, timeout))
                return found.result()

            async def everything() -> AsyncIterator[Chunk]:
                for chunk in head.chunks:
                    yield chunk
                async for chunk in source:
                    yield chunk

            async with contextlib.aclosing(self._stream(name, everything(), top_k, timeout)) as batches:
                async for batch in batches:
                    found.add(batch)
                    advance(batch.count)
        return found.result()

    async def predict_iter(
        self,
        name: str,
        images: AsyncImagesLike,
        top_k: int = 5,
        *,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> AsyncGenerator[PredictionBatch, None]:
        """Like `predict`, but yields batches in order, for collections without end."""
        check_on_error(on_error)
        async with contextlib.aclosing(self._stream(name, achunks(images), top_k, timeout)) as batches:
            async for batch in batches:
                yield kept(batch, on_error)

    async def _predict_few(
        self, name: str, chunk: Chunk, top_k: int, timeout: float | None
    ) -> PredictionBatch:
        async def send(chunk: Chunk) -> PredictionBatch:
            pending = Pending(prediction_batch)
            pending.push(chunk)
            request = pb.PredictRequest(model=name, images=chunk.images, top_k=top_k)
            return pending.answer(await self._link.call(self._stub.Predict, request, timeout))

        return await self._together.call((name, top_k), chunk, send, timeout)

    def _stream(
        self, name: str, source: AsyncIterator[Chunk], top_k: int, timeout: float | None
    ) -> AsyncGenerator[PredictionBatch, None]:
        return stream_batches_async(
            self._stub.PredictStream, source, stream_request(name, top_k), Pending(prediction_batch),
            self._link.endpoint, timeout,
        )  # fmt: skip

    @property
    def _stub(self) -> Any:
        return self._link.stub(model_pb2_grpc.ModelServiceStub)
