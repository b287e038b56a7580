"""`client.models.predict`: what models say of images."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

from penult._batches import Pending
from penult._chunks import Chunk, chunks, read_head
from penult._link import Link
from penult._models import Predictions, kept, prediction_batch, stream_request
from penult._options import check_on_error
from penult._progress import progress_bar
from penult._stream import stream_batches
from penult.model_types import Prediction, PredictionBatch
from penult.sources import count_hint
from penult.types import ItemError, OnError
from penult.v1 import model_pb2 as pb
from penult.v1 import model_pb2_grpc

if TYPE_CHECKING:
    from penult.sources import ImagesLike


class Predicting:
    """The part of `Models` that uses them."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @overload
    def predict(
        self,
        name: str,
        images: ImagesLike,
        top_k: int = 5,
        *,
        progress: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        timeout: float | None = None,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        name: str,
        images: ImagesLike,
        top_k: int = 5,
        *,
        progress: bool = False,
        on_error: Literal["return"],
        timeout: float | None = None,
    ) -> tuple[list[Prediction | None], list[ItemError]]: ...

    def predict(
        self,
        name: str,
        images: ImagesLike,
        top_k: int = 5,
        *,
        progress: bool = False,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> Any:
        """What a model says of any number of images, in the order given.

        Args:
            name: of the model, maybe with version or alias.
            images: as in `Client.extract`.
            top_k: labels in `Prediction.top`.
            progress: draws a bar on standard error, if that is a terminal.
            on_error: what an image that cannot be used does. "raise" ends the call with ItemFailed; "skip"
                leaves it out and warns; "return" gives None for it, and returns the errors too.
            timeout: seconds for a small batch, or for each answer of a stream.

        Raises:
            FailedPrecondition: FINGERPRINT_MISMATCH, the backbone no longer gives the features that the
                model was trained on.
        """
        check_on_error(on_error)
        found = Predictions(on_error)
        source = chunks(images)
        head = read_head(source)
        if not head.chunks:
            return found.result()
        with progress_bar(progress, count_hint(images), "predict") as advance:
            if head.fits:
                whole, pending = head.merged(), Pending(prediction_batch)
                pending.push(whole)
                request = pb.PredictRequest(model=name, images=whole.images, top_k=top_k)
                found.add(pending.answer(self._link.call(self._stub.Predict, request, timeout)))
                return found.result()
            everything = itertools.chain(head.chunks, source)
            with contextlib.closing(self._stream(name, everything, top_k, timeout)) as batches:
                for batch in batches:
                    found.add(batch)
                    advance(batch.count)
        return found.result()

    def predict_iter(
        self,
        name: str,
        images: ImagesLike,
        top_k: int = 5,
        *,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> Iterator[PredictionBatch]:
        """Like `predict`, but yields batches in order, for collections without end."""
        check_on_error(on_error)
        return (kept(batch, on_error) for batch in self._stream(name, chunks(images), top_k, timeout))

    def _stream(self, name: str, source: Iterator[Chunk], top_k: int, timeout: float | None) -> Any:
        return stream_batches(
            self._stub.PredictStream, source, stream_request(name, top_k), Pending(prediction_batch),
            self._link.endpoint, timeout,
        )  # fmt: skip

    @property
    def _stub(self) -> Any:
        return self._link.stub(model_pb2_grpc.ModelServiceStub)
