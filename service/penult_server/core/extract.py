"""The use case that everything else stands on: images in, features out."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import numpy as np

from penult_server.core.admission import Admission
from penult_server.core.backbone_pool import BackbonePool
from penult_server.core.batching import Priority
from penult_server.core.errors import InvalidArgument
from penult_server.core.features import BackboneIdentity, FeatureOptions, fingerprint, finish_features
from penult_server.core.images import ItemError, SourceImage, size_of
from penult_server.core.ports import FeatureEngine, LoadedBackbone
from penult_server.core.preprocess import TestTimeAugmentation

MAX_SCALES = 8
SCALE_RANGE = (0.5, 2.0)
# Messages of one stream inside the server at once: enough to keep decoding and computing busy.
STREAM_DEPTH = 4


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Features of some images: (N, dim) of the asked dtype, NaN rows for the images in `errors`.

    `ids` are the callers' names of the images, or empty where none has one.
    """

    features: np.ndarray
    errors: list[ItemError]
    ids: list[str]
    fingerprint: str
    backbone: str


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureFacts:
    """What some options give: the full name of the backbone, the fingerprint, and values a feature."""

    backbone: str
    fingerprint: str
    dim: int


def identity_of(loaded: LoadedBackbone) -> BackboneIdentity:
    """What a loaded backbone brings to a fingerprint."""
    return BackboneIdentity(
        architecture=loaded.facts.architecture,
        weights_sha256=loaded.report.weights_sha256,
        preprocess=loaded.facts.preprocess,
        numerics=loaded.report.numerics,
    )


class ExtractFeatures:
    """Features by any backbone, of one batch or of a stream of batches."""

    def __init__(
        self,
        pool: BackbonePool,
        engine: FeatureEngine,
        admission: Admission,
        *,
        max_stream_bytes: int = sys.maxsize,
        default_backbone: str,
        max_images: int,
    ) -> None:
        """`max_images`: most images in one message; `max_stream_bytes`: of images of all streams inside."""
        self._stream_bytes = Admission(max_stream_bytes, stream_share=1.0)
        self._pool = pool
        self._engine = engine
        self._admission = admission
        self._default_backbone = default_backbone
        self._max_images = max_images

    @property
    def max_images(self) -> int:
        """Most images in one message."""
        return self._max_images

    async def extract(self, images: Sequence[SourceImage], options: FeatureOptions) -> FeatureBatch:
        """Features of one batch, ahead of all streams.

        Raises:
            InvalidArgument: no images, too many, or options that this backbone cannot meet.
            ResourceExhausted: the server is full; nothing was queued.
            PenultError: the backbone cannot be used.
        """
        if not images:
            raise InvalidArgument("NO_IMAGES", "the request holds no image", field="images")
        self._check_count(images)
        check_scales(options.tta)
        views = len(images) * options.tta.views
        self._admission.enter(views)
        try:
            async with self._pool.lease(options.backbone or self._default_backbone) as loaded:
                return await self._compute(loaded, images, options, Priority.INTERACTIVE)
        finally:
            self._admission.leave(views)

    @contextlib.asynccontextmanager
    async def identified(self, backbone: str) -> AsyncIterator[tuple[str, BackboneIdentity]]:
        """Full name and identity of a backbone, which stays loaded until the block ends.

        Raises PenultError where it cannot be used.
        """
        async with self._pool.lease(backbone or self._default_backbone) as loaded:
            yield loaded.facts.name, identity_of(loaded)

    async def facts(self, options: FeatureOptions) -> FeatureFacts:
        """What these options would give. Raises InvalidArgument or PenultError as `extract` does."""
        check_scales(options.tta)
        async with self._pool.lease(options.backbone or self._default_backbone) as loaded:
            return FeatureFacts(
                loaded.facts.name, fingerprint(identity_of(loaded), options), loaded.dim(options.output)
            )

    async def stream(
        self,
        batches: AsyncIterator[Sequence[SourceImage]],
        options: FeatureOptions,
        *,
        separate_views: bool = False,
    ) -> AsyncGenerator[FeatureBatch, None]:
        """Features of every batch, in order, with at most STREAM_DEPTH batches inside at once.

        A consumer that stops reading stops the intake as well. A batch may be empty. Raises as `extract`
        does, but waits for room instead of refusing. With `separate_views` features are float32
        (N, views, dim), those of each view as they come from the backbone.
        """
        check_scales(options.tta)
        async with self._pool.lease(options.backbone or self._default_backbone) as loaded:
            loaded.dim(options.output)
            tasks: asyncio.Queue[asyncio.Task[FeatureBatch] | None] = asyncio.Queue(STREAM_DEPTH)
            reader = asyncio.create_task(self._read(loaded, batches, options, tasks, separate_views))
            try:
                while task := await tasks.get():
                    yield await task
                await reader  # raises what stopped the intake
            finally:
                reader.cancel()
                while not tasks.empty():
                    if task := tasks.get_nowait():
                        task.cancel()

    async def _read(
        self,
        loaded: LoadedBackbone,
        batches: AsyncIterator[Sequence[SourceImage]],
        options: FeatureOptions,
        tasks: asyncio.Queue[asyncio.Task[FeatureBatch] | None],
        separate_views: bool,
    ) -> None:
        first_index = 0
        try:
            async for images in batches:
                self._check_count(images)
                views = len(images) * options.tta.views
                size = sum(map(size_of, images))
                await self._enter(views, size)
                task = asyncio.create_task(
                    self._compute(loaded, images, options, Priority.BULK, first_index, separate_views)
                )
                task.add_done_callback(functools.partial(self._leave, views, size))
                first_index += len(images)
                try:
                    await tasks.put(task)
                except asyncio.CancelledError:
                    task.cancel()
                    raise
        except asyncio.CancelledError:
            raise  # the consumer has stopped listening: nobody waits for the end mark
        except BaseException:
            await tasks.put(None)
            raise
        await tasks.put(None)

    async def _enter(self, views: int, size: int) -> None:
        await self._admission.wait_and_enter(views)
        try:
            await self._stream_bytes.wait_and_enter(size)
        except BaseException:
            self._admission.leave(views)
            raise

    def _leave(self, views: int, size: int, _: object) -> None:
        self._admission.leave(views)
        self._stream_bytes.leave(size)

    async def _compute(
        self,
        loaded: LoadedBackbone,
        images: Sequence[SourceImage],
        options: FeatureOptions,
        priority: Priority,
        first_index: int = 0,
        separate_views: bool = False,
    ) -> FeatureBatch:
        raw = await self._engine.compute(loaded, images, options.tta, options.output, priority)
        views = options.tta.views
        return FeatureBatch(
            raw.values.reshape(-1, views, raw.values.shape[-1])
            if separate_views
            else finish_features(raw.values, views, options),
            [dataclasses.replace(error, index=error.index + first_index) for error in raw.errors],
            [image.id for image in images] if any(image.id for image in images) else [],
            fingerprint(identity_of(loaded), options),
            loaded.facts.name,
        )

    def _check_count(self, images: Sequence[SourceImage]) -> None:
        if len(images) > self._max_images:
            raise InvalidArgument(
                "TOO_MANY_IMAGES",
                f"{len(images)} images in one message; at most {self._max_images} are taken",
                field="images",
                hint="split the batch, or use ExtractStream with smaller messages",
            )


def check_scales(tta: TestTimeAugmentation, field: str = "options.tta.scales") -> None:
    """Raises InvalidArgument for scales that are too many, repeated or out of range."""
    scales, (low, high) = tta.scales, SCALE_RANGE
    if len(scales) > MAX_SCALES or len(set(scales)) != len(scales):
        raise InvalidArgument("BAD_SCALES", f"at most {MAX_SCALES} different scales are taken", field=field)
    for position, scale in enumerate(scales):
        if not low <= scale <= high:  # also false for NaN
            raise InvalidArgument(
                "BAD_SCALES", f"scale {scale} is outside [{low}, {high}]", field=f"{field}[{position}]"
            )
