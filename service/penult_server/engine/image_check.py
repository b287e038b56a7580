"""Whether images decode, found out in the decode threads behind all interactive work."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import threading
from collections.abc import Sequence

from penult_server.core.batching import Priority
from penult_server.core.datasets import CheckedImage
from penult_server.core.images import EncodedImage, ImageError, ImageLimits, SourceImage
from penult_server.engine.decode_pool import DecodePool
from penult_server.engine.images.decode import decode
from penult_server.engine.images.pixels import from_pixels


class ImageChecker:
    """Implements core.dataset_ports.ImageChecker: header and every pixel, as for a feature."""

    def __init__(self, limits: ImageLimits, decoders: DecodePool) -> None:
        """`decoders` is closed by its owner."""
        self._limits = limits
        self._decoders = decoders

    async def check(self, images: Sequence[SourceImage]) -> list[CheckedImage | ImageError]:
        """See core.dataset_ports.ImageChecker."""
        if not images:
            return []
        group = _Group(len(images))
        self._decoders.submit(
            [functools.partial(self._check, image, position, group) for position, image in enumerate(images)],
            Priority.BULK,
        )
        return await group.wait()

    def _check(self, image: SourceImage, position: int, group: _Group) -> None:
        if group.abandoned:
            return
        try:
            group.settle(position, _checked(image, self._limits))
        except ImageError as error:
            group.settle(position, error)
        except BaseException as error:  # a thread of the pool must live on; the upload gets the error
            group.fail(error)


def _checked(image: SourceImage, limits: ImageLimits) -> CheckedImage:
    if isinstance(image, EncodedImage):
        picture, data = decode(image.data, limits), image.data
    else:
        picture = from_pixels(image.pixels, limits)
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1)
        data = file.getvalue()
    return CheckedImage(data, hashlib.sha256(data).hexdigest(), *picture.size)


class _Group:
    """The images of one message and their answers."""

    def __init__(self, count: int) -> None:
        self.abandoned = False
        self._answers: dict[int, CheckedImage | ImageError] = {}
        self._missing = count
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> list[CheckedImage | ImageError]:
        try:
            await self._done
        finally:
            self.abandoned = True
        return [answer for _, answer in sorted(self._answers.items())]

    def settle(self, position: int, answer: CheckedImage | ImageError) -> None:
        with self._lock:
            self._answers[position] = answer
            self._missing -= 1
            last = self._missing == 0
        if last:
            self._finish(None)

    def fail(self, error: BaseException) -> None:
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolve, error)

    def _resolve(self, error: BaseException | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
