"""The engine behind FeatureService: decode in threads, batch across calls, compute on the device thread.

A request becomes one group. No event-loop work is done per image: threads write rows into the group's
array, and the last one wakes the waiting call once.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Sequence

import numpy as np

from penult_server.core.batching import Priority
from penult_server.core.errors import Internal
from penult_server.core.features import OutputSpec
from penult_server.core.images import ImageError, ItemError, SourceImage
from penult_server.core.metrics import NO_METER, Meter
from penult_server.core.ports import ImagePreprocessor, LoadedBackbone, RawFeatures
from penult_server.core.preprocess import TestTimeAugmentation
from penult_server.core.tracing import Trace, Tracer, current_trace
from penult_server.engine.decode_pool import DecodePool
from penult_server.engine.device_thread import Runner, Slot
from penult_server.engine.loaded_backbone import EngineBackbone

NOT_FINITE = "FEATURE_NOT_FINITE"
COMPUTE_FAILED = "FEATURE_COMPUTE_FAILED"


class FeatureEngine:
    """Implements core.ports.FeatureEngine."""

    def __init__(
        self,
        preprocess: ImagePreprocessor,
        decoders: DecodePool,
        meter: Meter = NO_METER,
        tracer: Tracer | None = None,
    ) -> None:
        """`decoders` is closed by its owner."""
        self._preprocess = preprocess
        self._decoders = decoders
        self._tracer = tracer
        self._decode_seconds = meter.histogram(
            "penult_decode_seconds", "Decoding and preprocessing of one image."
        )
        self._images = meter.counter("penult_images_total", "Images by how they ended.", ["outcome"])

    async def compute(
        self,
        backbone: LoadedBackbone,
        images: Sequence[SourceImage],
        tta: TestTimeAugmentation,
        output: OutputSpec,
        priority: Priority,
    ) -> RawFeatures:
        """See core.ports.FeatureEngine."""
        assert isinstance(backbone, EngineBackbone)
        dim = backbone.dim(output)
        if not images:
            return RawFeatures(np.empty((0, dim), np.float32), [])
        runner = backbone.ready_runner(output)
        if runner is None:
            runner = await asyncio.to_thread(backbone.build_runner, output)
        group = _Group(images, tta.views, dim)
        backbone.device.expect(runner, len(images) * tta.views)
        self._decoders.submit(
            [
                functools.partial(self._decode, backbone, group, position, tta, runner, priority)
                for position in range(len(images))
            ],
            priority,
        )
        raw = await group.wait()
        self._images.add(len(images) - len(raw.errors), "ok")
        if raw.errors:
            self._images.add(len(raw.errors), "failed")
        return raw

    def _decode(
        self,
        backbone: EngineBackbone,
        group: _Group,
        position: int,
        tta: TestTimeAugmentation,
        runner: Runner,
        priority: Priority,
    ) -> None:
        try:
            if group.abandoned:
                raise asyncio.CancelledError
            started = time.perf_counter()
            views = self._preprocess(group.images[position], backbone.facts.preprocess, tta)
            seconds = time.perf_counter() - started
        except BaseException as error:
            backbone.device.expect(runner, -tta.views)
            group.fail(position, error)
            return
        self._decode_seconds.observe(seconds)
        if self._tracer is not None and group.trace is not None:
            self._tracer.record(group.trace, "decode", seconds, image=position, views=tta.views)
        slots: list[Slot] = [_Row(group, position, view, views[view]) for view in range(tta.views)]
        backbone.device.push(runner, slots, priority)


class _Group:
    """The images of one request and the rows that their features go to."""

    def __init__(self, images: Sequence[SourceImage], views: int, dim: int) -> None:
        self.images = images
        self.views = views
        self.rows = np.empty((len(images) * views, dim), np.float32)  # rows that stay empty become NaN below
        self.abandoned = False
        self.trace = current_trace()
        self._errors: dict[int, BaseException] = {}
        self._missing = len(images) * views
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> RawFeatures:
        try:
            await self._done
        finally:
            self.abandoned = True
        errors = [self._item_error(position, error) for position, error in sorted(self._errors.items())]
        for error in errors:
            self.rows[error.index * self.views : (error.index + 1) * self.views] = np.nan
        return RawFeatures(self.rows, errors)

    def deliver(self, row: int, feature: np.ndarray) -> None:
        self.rows[row] = feature
        self._settle(1)

    def fail(self, position: int, error: BaseException, views: int | None = None) -> None:
        with self._lock:
            self._errors.setdefault(position, error)
        self._settle(self.views if views is None else views)

    def _settle(self, count: int) -> None:
        with self._lock:
            self._missing -= count
            last = self._missing == 0
        if last and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _item_error(self, position: int, error: BaseException) -> ItemError:
        image_id = self.images[position].id
        if isinstance(error, ImageError):
            return ItemError(position, image_id, error.fault.value, error.message)
        if isinstance(error, _NotFinite):
            return ItemError(position, image_id, NOT_FINITE, "the backbone gave values that are no numbers")
        raise Internal(COMPUTE_FAILED, "the forward pass failed; the server's log says why") from error


class _NotFinite(Exception):
    pass


class _Row:
    """One view of one image on its way through the device."""

    __slots__ = ("_group", "_position", "_view", "pixels")

    def __init__(self, group: _Group, position: int, view: int, pixels: np.ndarray) -> None:
        self._group = group
        self._position = position
        self._view = view
        self.pixels = pixels

    @property
    def abandoned(self) -> bool:
        return self._group.abandoned

    @property
    def trace(self) -> Trace | None:
        return self._group.trace

    def deliver(self, row: np.ndarray) -> None:
        # A sum is finite only if every value is; overflow of finite float32 features is not a case.
        if np.isfinite(row.sum()):
            self._group.deliver(self._position * self._group.views + self._view, row)
        else:
            self.fail(_NotFinite())

    def fail(self, error: BaseException) -> None:
        self._group.fail(self._position, error, views=1)
