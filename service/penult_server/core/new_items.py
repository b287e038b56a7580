"""From what a caller sends to what can be written: ids, metadata and pictures checked, each by itself."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from penult_server.core.dataset_ports import ImageChecker
from penult_server.core.errors import InvalidArgument
from penult_server.core.images import EncodedImage, ImageError, ItemError, SourceImage
from penult_server.core.index_kinds import faults
from penult_server.core.indexes import (
    MAX_ITEMS,
    AddItems,
    AddMode,
    Candidate,
    Item,
    ItemFault,
    ItemFaultError,
    check_item_id,
    check_metadata,
)
from penult_server.core.open_index import OpenIndex
from penult_server.core.search_queries import check_dim, check_fingerprint, options_of


@dataclasses.dataclass(frozen=True, slots=True)
class NewItem:
    """An item as a client sends it; without an image where its vector is a row of the message."""

    id: str
    metadata_json: str
    image: SourceImage | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class NewItems:
    """One message: all with images, or all with `vectors` (N, dim) of this fingerprint."""

    items: Sequence[NewItem]
    mode: AddMode = AddMode.ADD
    vectors: np.ndarray | None = None
    fingerprint: str = ""

    @property
    def size(self) -> int:
        """Bytes of its images and vectors."""
        images = sum(_size(item.image) for item in self.items if item.image is not None)
        return images + (0 if self.vectors is None else self.vectors.nbytes)


@dataclasses.dataclass(slots=True, eq=False)
class Prepared:
    """A message whose items are checked; what is missing are the vectors of `images`."""

    first_index: int
    count: int
    mode: AddMode
    candidates: list[Candidate]
    errors: list[ItemError]
    images: list[SourceImage]
    """One for each candidate without a vector that is to be computed, in order."""
    computed: list[int]
    """Positions of those candidates."""

    def finish(
        self,
        index: OpenIndex,
        features: np.ndarray,
        errors: Sequence[ItemError],
        request_id: str,
        streamed: bool,
    ) -> AddItems:
        """The write, once the features of the images are known: (N, dim) with the errors of some rows."""
        failed = {error.index: (error.reason, error.message) for error in errors}
        rows = np.ascontiguousarray(features, np.float32)
        if len(self.computed):
            for row, reason, message in faults(rows, index.maker.spec):
                failed.setdefault(row, (reason, message))
        dropped = set()
        for row, place in enumerate(self.computed):
            candidate = self.candidates[place]
            if row in failed:
                self.errors.append(ItemError(candidate.index, candidate.id[:80], *failed[row]))
                dropped.add(place)
            else:
                self.candidates[place] = dataclasses.replace(candidate, vector=rows[row])
        kept = [candidate for place, candidate in enumerate(self.candidates) if place not in dropped]
        return AddItems(self.first_index, self.count, kept, self.errors, self.mode, request_id, streamed)


class PrepareItems:
    """Checks messages for an index."""

    def __init__(self, checker: ImageChecker, *, max_images: int) -> None:
        """`checker` turns raw pixels into files; `max_images`: most images in one message."""
        self._checker = checker
        self._max_images = max_images

    async def run(self, index: OpenIndex, new: NewItems, first_index: int) -> Prepared:
        """What can be written of a message.

        Raises:
            InvalidArgument: no items or too many, images and vectors mixed, or vectors of another length.
            FailedPrecondition: the vectors have another fingerprint, or the index takes no images.
        """
        self._check_message(index, new)
        prepared = Prepared(first_index, len(new.items), new.mode, [], [], [], [])
        if new.vectors is None:
            items = await self._with_pictures(index, new, prepared)
        else:
            items = _with_vectors(index, new, prepared)
        _drop_repeated(items, prepared)
        if new.vectors is None:
            found = await asyncio.to_thread(
                index.stores.items.by_ids, index.id, [candidate.id for candidate, _ in items]
            )
            _leave_out_known(items, found, prepared)
        else:
            prepared.candidates += [candidate for candidate, _ in items]
        return prepared

    def _check_message(self, index: OpenIndex, new: NewItems) -> None:
        with_images = sum(item.image is not None for item in new.items)
        most = MAX_ITEMS if new.vectors is not None else self._max_images
        if len(new.items) > most:
            raise InvalidArgument(
                "TOO_MANY_ITEMS",
                f"{len(new.items)} items in one message; at most {most} are taken",
                field="items",
                hint="send more messages with fewer items each",
            )
        if with_images != (0 if new.vectors is not None else len(new.items)):
            raise InvalidArgument(
                "ITEMS_MIXED", "either every item has an image, or vectors has a row for each", field="items"
            )
        if new.vectors is None:
            if new.items:
                options_of(index.maker)
            return
        check_dim(index.maker, new.vectors)
        check_fingerprint(index.maker, new.fingerprint)
        if len(new.vectors) != len(new.items):
            raise InvalidArgument(
                "COUNT_MISMATCH", f"{len(new.vectors)} vectors for {len(new.items)} items", field="vectors"
            )

    async def _with_pictures(
        self, index: OpenIndex, new: NewItems, prepared: Prepared
    ) -> list[tuple[Candidate, SourceImage]]:
        images = [item.image for item in new.items if item.image is not None]
        files = await self._files(images)
        found = []
        for position, (item, image, file) in enumerate(zip(new.items, images, files, strict=True)):
            number = prepared.first_index + position
            if isinstance(file, ImageError):
                prepared.errors.append(ItemError(number, item.id[:80], file.fault.value, file.message))
                continue
            sha256, data = file
            kept = data if index.maker.keeps_images else b""
            candidate = _checked(number, item, item.id or sha256, prepared)
            if candidate is not None:
                found.append((dataclasses.replace(candidate, image_sha256=sha256, image=kept), image))
        return found

    async def _files(self, images: Sequence[SourceImage]) -> list[tuple[str, bytes] | ImageError]:
        """sha256 and bytes of each as a file: as it was sent, or raw pixels as PNG."""
        raw = [image for image in images if not isinstance(image, EncodedImage)]
        checked = iter(await self._checker.check(raw) if raw else [])
        digests = iter(
            await asyncio.to_thread(
                lambda: [
                    hashlib.sha256(image.data).hexdigest()
                    for image in images
                    if isinstance(image, EncodedImage)
                ]
            )
        )
        files: list[tuple[str, bytes] | ImageError] = []
        for image in images:
            if isinstance(image, EncodedImage):
                files.append((next(digests), image.data))
            else:
                made = next(checked)
                files.append(made if isinstance(made, ImageError) else (made.sha256, made.data))
        return files


def _with_vectors(index: OpenIndex, new: NewItems, prepared: Prepared) -> list[tuple[Candidate, SourceImage]]:
    assert new.vectors is not None
    rows = np.ascontiguousarray(new.vectors, np.float32)
    wrong = {row: (reason, message) for row, reason, message in faults(rows, index.maker.spec)}
    found: list[tuple[Candidate, SourceImage]] = []
    for position, item in enumerate(new.items):
        number = prepared.first_index + position
        if position in wrong:
            prepared.errors.append(ItemError(number, item.id[:80], *wrong[position]))
            continue
        candidate = _checked(number, item, item.id, prepared)
        if candidate is not None:
            found.append((dataclasses.replace(candidate, vector=rows[position]), EncodedImage(b"")))
    return found


def _checked(number: int, item: NewItem, item_id: str, prepared: Prepared) -> Candidate | None:
    try:
        return Candidate(number, check_item_id(item_id), check_metadata(item.metadata_json), None)
    except ItemFaultError as error:
        prepared.errors.append(error.item(number, item.id))
        return None


def _drop_repeated(items: list[tuple[Candidate, SourceImage]], prepared: Prepared) -> None:
    """Nobody can say which of two with one id is meant."""
    counts = collections.Counter(candidate.id for candidate, _ in items)
    for candidate, _ in items:
        if counts[candidate.id] > 1:
            message = f"{counts[candidate.id]} items of this message have this id"
            error = ItemError(candidate.index, candidate.id[:80], ItemFault.ID_REPEATED.value, message)
            prepared.errors.append(error)
    items[:] = [pair for pair in items if counts[pair[0].id] == 1]


def _leave_out_known(
    items: list[tuple[Candidate, SourceImage]], found: Mapping[str, Item], prepared: Prepared
) -> None:
    """Computes no feature of a picture that is there already, or will be refused."""
    for candidate, image in items:
        old = found.get(candidate.id)
        same = old is not None and (old.image_sha256, old.metadata_json) == (
            candidate.image_sha256,
            candidate.metadata_json,
        )
        if old is None or (prepared.mode is AddMode.UPSERT and not same):
            prepared.computed.append(len(prepared.candidates))
            prepared.images.append(image)
        prepared.candidates.append(candidate)


def _size(image: SourceImage) -> int:
    return len(image.data) if isinstance(image, EncodedImage) else image.pixels.nbytes
