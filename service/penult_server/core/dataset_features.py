"""Use case: features of the images of a snapshot, those that are known from the cache.

They become files of a job's directory: `NAME.npy`, float32 (images, views, dim), and `NAME.json`, which
says what they are and is there only when they are complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penult_server.core.errors import FailedPrecondition
from penult_server.core.extract import ExtractFeatures, FeatureBatch
from penult_server.core.feature_ports import FeatureCache
from penult_server.core.features import FeatureOptions, view_fingerprints
from penult_server.core.images import EncodedImage
from penult_server.core.job_ports import Report
from penult_server.core.jobs import LogLine, Metrics, Progress
from penult_server.core.preprocess import PLAIN, TestTimeAugmentation
from penult_server.core.snapshot import SnapshotExample, image_file

CHUNK = 32
"""Images looked up, read and computed together."""
_MAX_LOGGED = 20
_SECONDS_BETWEEN = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class FailedImage:
    """An image without features; `position` is its row, which holds zeros."""

    position: int
    sha256: str
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureTable:
    """What the files hold. Row n of the array belongs to the n-th image that was asked for.

    Attributes:
        fingerprint: of view 0, the plain one.
        cached, extracted: images whose features were known, and whose were computed.
        failed: images that have none.
    """

    backbone: str
    fingerprint: str
    count: int
    views: int
    dim: int
    cached: int
    extracted: int
    failed: tuple[FailedImage, ...]

    @classmethod
    def read(cls, directory: Path, name: str = "features") -> FeatureTable:
        """Raises FileNotFoundError where they are not complete."""
        values = json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))
        return cls(**{**values, "failed": tuple(FailedImage(**row) for row in values["failed"])})

    def write(self, directory: Path, name: str) -> None:
        """Says that they are complete."""
        unfinished = directory / f"{name}.json.part"
        unfinished.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        unfinished.rename(directory / f"{name}.json")


def load_features(directory: Path, name: str = "features") -> np.ndarray:
    """The array, as a memory map."""
    array: np.ndarray = np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array


class DatasetFeatures:
    """Brings features of snapshots into job directories."""

    def __init__(self, extract: ExtractFeatures, cache: FeatureCache) -> None:
        """`cache` is asked first, and gets what was computed."""
        self._extract = extract
        self._cache = cache

    async def collect(
        self,
        directory: Path,
        examples: Sequence[SnapshotExample],
        backbone: str,
        report: Report,
        *,
        augment: TestTimeAugmentation = PLAIN,
        name: str = "features",
    ) -> FeatureTable:
        """Writes the features of these examples' images; what a run before has completed is kept.

        Args:
            directory: of the job, with the snapshot.
            examples: of the snapshot, in the order of the rows.
            backbone: "" for the default.
            report: hears of progress, of images that cannot be used, and the metrics `features_cached` and
                `features_extracted`.
            augment: views of each image. The first must be the plain one.
            name: of the files.

        Raises:
            FailedPrecondition: NO_EXAMPLES, none of the images has features.
            PenultError: the backbone cannot be used.
            OSError: the disk is full.
        """
        async with self._extract.identified(backbone) as (full_name, identity):
            fingerprints = view_fingerprints(identity, augment)
            with contextlib.suppress(FileNotFoundError):
                table = await asyncio.to_thread(FeatureTable.read, directory, name)
                if (table.fingerprint, table.views) == (fingerprints[0], len(fingerprints)):
                    await report([LogLine("info", "the features of an earlier run are used")])
                    return table
            table = await self._collect(directory, examples, full_name, fingerprints, report, augment, name)
        if len(table.failed) == table.count:
            why = f", the first: {table.failed[0].message}" if table.failed else ""
            raise FailedPrecondition(
                "NO_EXAMPLES",
                f"none of the {table.count} images can be used{why}",
                hint="add images that can be decoded",
            )
        await asyncio.to_thread(table.write, directory, name)
        return table

    async def _collect(
        self,
        directory: Path,
        examples: Sequence[SnapshotExample],
        backbone: str,
        fingerprints: Sequence[str],
        report: Report,
        augment: TestTimeAugmentation,
        name: str,
    ) -> FeatureTable:
        source = _Source(directory, examples, self._cache, fingerprints, min(CHUNK, self._extract.max_images))
        options = FeatureOptions(backbone=backbone, tta=augment)
        failed: list[FailedImage] = []
        dim = done = 0
        reported = -math.inf
        with open(directory / f"{name}.npy", "wb", buffering=0) as file:
            stream = self._extract.stream(source.batches(), options, separate_views=True)
            async with contextlib.aclosing(stream) as batches:
                async for batch in batches:
                    chunk = source.next_chunk()
                    dim = batch.features.shape[-1]
                    rows = np.zeros((len(chunk.examples), len(fingerprints), dim), np.float32)
                    new = chunk.fill(rows, batch, failed)
                    if done == 0:
                        _write_header(file, (len(examples), *rows.shape[1:]))
                    await asyncio.to_thread(self._keep, file, rows, fingerprints, new)
                    done += len(rows)
                    if done < len(examples) and time.monotonic() - reported < _SECONDS_BETWEEN:
                        continue
                    reported = time.monotonic()
                    await report([
                        Progress(done, len(examples), "images", "features"),
                        Metrics(source.counts(), step=done),
                    ])  # fmt: skip
            await asyncio.to_thread(os.fsync, file.fileno())
        await report(_summary(source, failed))
        return FeatureTable(
            backbone, fingerprints[0], len(examples), len(fingerprints), dim,
            source.cached, source.missing - len(failed), tuple(failed),
        )  # fmt: skip

    def _keep(
        self, file: Any, rows: np.ndarray, fingerprints: Sequence[str], new: dict[str, np.ndarray]
    ) -> None:
        # Written and not mapped: a full disk must be an error here, and not a signal that ends the server.
        view = memoryview(rows.tobytes())
        while view:
            view = view[file.write(view) :]
        self._cache.put(fingerprints, new)


@dataclasses.dataclass(slots=True)
class _Chunk:
    """Some examples in a row: those that the cache knew, and the positions of the others."""

    first: int
    examples: Sequence[SnapshotExample]
    known: dict[str, np.ndarray]
    missing: list[int]

    def fill(self, rows: np.ndarray, batch: FeatureBatch, failed: list[FailedImage]) -> dict[str, np.ndarray]:
        """Puts all features into `rows`; those that are new, by sha256."""
        for position, example in enumerate(self.examples):
            if example.sha256 in self.known:
                rows[position] = self.known[example.sha256]
        errors = {error.id: error for error in batch.errors}
        new: dict[str, np.ndarray] = {}
        for position, features in zip(self.missing, batch.features, strict=True):
            example = self.examples[position]
            if error := errors.get(example.sha256):
                failed.append(FailedImage(self.first + position, example.sha256, error.reason, error.message))
            else:
                rows[position] = new[example.sha256] = features
        return new


class _Source:
    """Reads ahead: looks chunks up in the cache, and hands out the images that have to be computed."""

    def __init__(
        self,
        directory: Path,
        examples: Sequence[SnapshotExample],
        cache: FeatureCache,
        fingerprints: Sequence[str],
        size: int,
    ) -> None:
        self._size = size
        self._directory = directory
        self._examples = examples
        self._cache = cache
        self._fingerprints = fingerprints
        self._chunks: list[_Chunk] = []
        self.cached = self.missing = 0

    async def batches(self) -> AsyncIterator[list[EncodedImage]]:
        """The images of each chunk that the cache does not know; none for some chunks."""
        for first in range(0, len(self._examples), self._size):
            chunk, images = await asyncio.to_thread(self._read, first)
            self._chunks.append(chunk)
            yield images

    def next_chunk(self) -> _Chunk:
        """The chunk whose features have just come."""
        chunk = self._chunks.pop(0)
        self.cached += len(chunk.examples) - len(chunk.missing)
        self.missing += len(chunk.missing)
        return chunk

    def counts(self) -> dict[str, float]:
        """Images so far, as metrics."""
        return {"features_cached": self.cached, "features_extracted": self.missing}

    def _read(self, first: int) -> tuple[_Chunk, list[EncodedImage]]:
        examples = self._examples[first : first + self._size]
        known = dict(self._cache.get(self._fingerprints, [example.sha256 for example in examples]))
        missing = [n for n, example in enumerate(examples) if example.sha256 not in known]
        images = [EncodedImage(self._bytes(examples[n].sha256), examples[n].sha256) for n in missing]
        return _Chunk(first, examples, known, missing), images

    def _bytes(self, sha256: str) -> bytes:
        """An image that is gone from the disk, or another one, is an empty one: an error of its own."""
        try:
            data = image_file(self._directory, sha256).read_bytes()
        except FileNotFoundError:
            return b""
        return data if hashlib.sha256(data).hexdigest() == sha256 else b""


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _summary(source: _Source, failed: Sequence[FailedImage]) -> list[LogLine | Metrics]:
    lines: list[LogLine | Metrics] = [
        LogLine("info", f"features: {source.cached} from the cache, {source.missing} computed")
    ]
    lines += [
        LogLine("warning", f"left out {image.sha256}: {image.message} [{image.reason}]")
        for image in failed[:_MAX_LOGGED]
    ]
    if len(failed) > _MAX_LOGGED:
        lines.append(LogLine("warning", f"left out {len(failed) - _MAX_LOGGED} more images"))
    lines.append(Metrics({"images_failed": len(failed)}))
    return lines
