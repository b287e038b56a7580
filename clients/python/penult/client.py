"""The client for threads."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

from grpc_health.v1 import health_pb2_grpc

from penult._batches import Pending, apply_on_error, feature_batch
from penult._channel import Endpoint, Tls
from penult._chunks import chunks, read_head
from penult._collect import Collector
from penult._health import HEALTH_TIMEOUT, health, health_request
from penult._link import Link
from penult._options import FeatureChoices, check_on_error, feature_options, stream_request
from penult._progress import progress_bar
from penult._stream import stream_batches
from penult.backbones import Backbones
from penult.datasets import Datasets
from penult.indexes import Indexes
from penult.jobs import Jobs
from penult.models import Models
from penult.sources import count_hint
from penult.tta import TTA
from penult.types import FeatureBatch, FeatureDType, Features, Health, ItemError, OnError, Pooling
from penult.v1 import feature_pb2, feature_pb2_grpc

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from penult.sources import ImagesLike


class Client:
    """A connection to one Penult server. Opened at the first call, kept, and safe to share between threads.

    Args:
        target: "host:port", or "unix:/path".
        api_key: sent with each call; the default is the environment variable PENULT_API_KEY.
        tls: None for plain text, True to trust the system's authorities, or a `Tls`.
        timeout: seconds for each call without a timeout of its own; for a stream, the longest wait
            for the next answer.

    A copy of a client shares its connection. A pickle holds everything but `api_key`, which then
    comes from the environment.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        api_key: str | None = None,
        tls: Tls | bool | None = None,
        timeout: float = 120.0,
    ) -> None:
        self._connect(Endpoint(target, api_key, tls, timeout))

    def _connect(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._link = Link(endpoint)
        self.backbones = Backbones(self._link)
        self.datasets = Datasets(self._link)
        self.models = Models(self._link)
        self.indexes = Indexes(self._link)
        self.jobs = Jobs(self._link)

    @overload
    def extract(
        self,
        images: ImagesLike,
        backbone: str | None = None,
        *,
        progress: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> Features: ...

    @overload
    def extract(
        self,
        images: ImagesLike,
        backbone: str | None = None,
        *,
        progress: bool = False,
        on_error: Literal["return"],
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> tuple[Features, list[ItemError]]: ...

    def extract(
        self,
        images: ImagesLike,
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
        """Features of any number of images, one row for each, in the order given.

        Args:
            images: a path, the bytes of a file, a PIL image, an array (H, W[, 1 | 3 | 4]) of uint8 in
                0..255 or float in 0..1, or any iterable of these, read lazily; a folder or a glob
                pattern stands for its images, sorted.
            backbone: its name; None is the server's default.
            tta: test-time augmentation: "flip", "five_crop", "ten_crop", "scales", several joined by
                "+", or a `TestTimeAugmentation`.
            l2: scales every vector to unit L2 norm.
            dtype: "float32" or "float16".
            layer: an intermediate layer, one of `Backbone.layers`; None is the penultimate one.
            pooling: "avg", "max", "avg_max" or "token" instead of the backbone's own.
            progress: draws a bar on standard error, if that is a terminal.
            on_error: what an image that cannot be used does. "raise" ends the call with ItemFailed;
                "skip" drops its row and warns (`extract_with_info` names the rows that are left);
                "return" keeps a row of NaN and returns the errors too.
            timeout: seconds for a small batch, or for each answer of a stream.

        Returns:
            (N, dim) of `dtype`; with `on_error="return"` that and the list of errors. (0, 0) for no image.

        Raises:
            PenultError: see `penult.errors`.
        """
        batch = self.extract_with_info(
            images, backbone, progress=progress, on_error=on_error, timeout=timeout,
            tta=tta, l2=l2, dtype=dtype, layer=layer, pooling=pooling,
        )  # fmt: skip
        return (batch.features, list(batch.errors)) if on_error == "return" else batch.features

    def extract_with_info(
        self,
        images: ImagesLike,
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
        source = chunks(images)
        head = read_head(source)
        if not head.chunks:
            return collector.result()
        with progress_bar(progress, count_hint(images)) as advance:
            if head.fits:
                whole, pending = head.merged(), Pending(feature_batch)
                pending.push(whole)
                request = feature_pb2.ExtractRequest(options=options, images=whole.images)
                collector.add(pending.answer(self._link.call(self._stub.Extract, request, timeout)))
                return collector.result()
            everything = itertools.chain(head.chunks, source)
            with contextlib.closing(self._stream(everything, options, timeout)) as batches:
                for batch in batches:
                    collector.add(batch)
                    advance(len(batch.names))
        return collector.result()

    def extract_iter(
        self,
        images: ImagesLike,
        backbone: str | None = None,
        *,
        on_error: OnError = "raise",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> Iterator[FeatureBatch]:
        """Like `extract_with_info`, but yields batches in order: for features that do not fit in memory.

        Up to some hundred images are read ahead of the batch that is yielded.
        """
        check_on_error(on_error)
        batches = self._stream(chunks(images), feature_options(backbone, **choices), timeout)
        return (apply_on_error(batch, on_error) for batch in batches)

    def health(self, *, timeout: float = HEALTH_TIMEOUT) -> Health:
        """Whether the server works. Raises Unavailable where none answers."""
        stub = self._link.stub(health_pb2_grpc.HealthStub)
        return health(self._link.call(stub.Check, health_request(), timeout))

    def close(self) -> None:
        """Closes the connection; calls in progress end with Cancelled."""
        self._link.close()

    def _stream(self, source: Any, options: feature_pb2.FeatureOptions, timeout: float | None) -> Any:
        return stream_batches(
            self._stub.ExtractStream, source, stream_request(options), Pending(feature_batch),
            self._endpoint, timeout,
        )  # fmt: skip

    @property
    def _stub(self) -> Any:
        return self._link.stub(feature_pb2_grpc.FeatureServiceStub)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._endpoint.target!r})"

    def __copy__(self) -> Client:
        return self

    def __deepcopy__(self, memo: object) -> Client:
        return self

    def __getstate__(self) -> Endpoint:
        return self._endpoint.without_secret()

    def __setstate__(self, endpoint: Endpoint) -> None:
        self._connect(endpoint)
