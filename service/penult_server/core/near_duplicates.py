"""The job that groups items of an index, or images of a dataset, which show the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penult_server.core.dataset_features import DatasetFeatures, load_features
from penult_server.core.dataset_ports import DatasetSnapshots
from penult_server.core.duplicate_groups import DuplicateGroups
from penult_server.core.errors import InvalidArgument
from penult_server.core.index_dataset import example_metadata
from penult_server.core.index_jobs import Paced, no_input, when_ready
from penult_server.core.index_kinds import NO_KEY, IndexSpec
from penult_server.core.index_ports import VectorIndex
from penult_server.core.indexes import DEFAULT_LABEL_FIELD, Item
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.snapshot import Snapshot, SnapshotExample, image_file, read_examples

KIND = "find_near_duplicates"
DEFAULT_THRESHOLD = 0.95
_NEIGHBOURS = 32
_PAGE = 256

PixelHash = Callable[[Path], str]
"""What only pictures with the same pixels have, "" for a file that is no picture. Blocking."""


class FindNearDuplicates:
    """See the module's first line."""

    def __init__(
        self,
        indexes: OpenIndexes,
        snapshots: DatasetSnapshots,
        features: DatasetFeatures,
        pixel_hash: PixelHash,
        jobs: ManageJobs,
    ) -> None:
        """`snapshots` takes a dataset as it is when the job is asked for; `features` computes its vectors."""
        self._indexes = indexes
        self._snapshots = snapshots
        self._features = features
        self._pixel_hash = pixel_hash
        self._jobs = jobs

    async def start(self, name: str, threshold: float, request_id: str) -> Job:
        """Queues it for an index; threshold 0 stands for the default. Raises NotFound, InvalidArgument."""
        parameters = {"threshold": _checked(threshold)}
        index = self._indexes.find(name)
        return await self._jobs.submit(NewJob(KIND, index.name, parameters, no_input, request_id))

    async def start_dataset(self, dataset: str, backbone: str, threshold: float, request_id: str) -> Job:
        """The same for a dataset, compared by features of a backbone, "" for the default.

        Raises FailedPrecondition for a dataset without examples, too.
        """
        parameters = {"threshold": _checked(threshold), "dataset": dataset, "backbone": backbone}

        def prepare(directory: Path) -> None:
            self._snapshots.take(dataset, directory)

        return await self._jobs.submit(NewJob(KIND, dataset, parameters, prepare, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> Mapping[str, Any]:
        """See core.job_ports.Stage."""
        threshold = float(job.parameters["threshold"])
        if "dataset" in job.parameters:
            backbone = job.parameters["backbone"]
            return {"near_duplicates": await self._in_dataset(directory, backbone, threshold, report)}
        index = await when_ready(self._indexes.find(job.subject))
        return {"near_duplicates": await _in_index(index, threshold, report)}

    async def _in_dataset(
        self, directory: Path, backbone: str, threshold: float, report: Report
    ) -> Mapping[str, Any]:
        dataset = await asyncio.to_thread(Snapshot.read, directory)
        examples = await asyncio.to_thread(list, read_examples(directory))
        table = await self._features.collect(directory, examples, backbone, report)
        vectors = load_features(directory)[:, 0]
        usable = await asyncio.to_thread(np.any, vectors, 1)  # images that failed have zeros
        items = await asyncio.to_thread(_items, examples, usable, dataset.dataset)
        # A dataset may be larger than the memory: vectors lie on disk, and are compared through its cache.
        spec = IndexSpec(table.dim, kind="flat", parameters={"vectors": "disk"})
        index = await asyncio.to_thread(self._indexes.stores.engine.create, spec)
        for page in _pages(items):
            await asyncio.to_thread(_put, index, page, vectors)
        groups, paced = DuplicateGroups(threshold), Paced(report, len(items), "images", "compare")
        done = 0
        for page in _pages(items):
            await asyncio.to_thread(_join, index, page, vectors, threshold, groups)
            done += len(page)
            await paced.at(done)
        pictures = {
            item.key: await asyncio.to_thread(self._pixel_hash, image_file(directory, item.image_sha256))
            for item in groups.members()
        }
        return {"dataset": dataset.dataset, **groups.found(pictures, with_images=True)}


async def _in_index(index: OpenIndex, threshold: float, report: Report) -> Mapping[str, Any]:
    sequence = index.vectors.sequence
    groups, paced = DuplicateGroups(threshold), Paced(report, index.vectors.count, "items", "compare")
    after, done = 0, 0
    while items := await asyncio.to_thread(index.stores.items.page, index.id, None, after, _PAGE):
        await asyncio.to_thread(_compare, index, items, threshold, groups)
        after, done = items[-1].key, done + len(items)
        await paced.at(done)
    pictures = {item.key: item.image_sha256 for item in groups.members()}
    found = groups.found(pictures, with_images=index.maker.keeps_images)
    return {"index": index.name, "sequence": sequence, **found}


def _put(index: VectorIndex, items: Sequence[Item], vectors: np.ndarray) -> None:
    keys = np.asarray([item.key for item in items])
    index.add(keys, vectors[keys], sequence=1)


def _join(
    index: VectorIndex, items: Sequence[Item], vectors: np.ndarray, threshold: float, groups: DuplicateGroups
) -> None:
    """Joins some items with their near neighbours. Their keys are their rows in `vectors`."""
    queries = vectors[[item.key for item in items]]
    groups.add(items, *_neighbours(index, items, queries, threshold))


def _compare(index: OpenIndex, items: Sequence[Item], threshold: float, groups: DuplicateGroups) -> None:
    """Joins some items with the same pictures and with their near neighbours."""
    vectors = index.stores.items.vectors([item.key for item in items])
    items = [item for item in items if item.key in vectors]
    if not items:
        return
    queries = np.stack([vectors[item.key] for item in items])
    if index.maker.spec.metric == "cosine" and not index.maker.spec.steps:
        groups.add(items, *_neighbours(index.vectors, items, queries, threshold))
        return
    keys, _ = _neighbours(index.vectors, items, queries, None)
    groups.add(items, keys, _cosines(index, queries, keys, vectors))


def _neighbours(
    index: VectorIndex, items: Sequence[Item], queries: np.ndarray, threshold: float | None
) -> tuple[np.ndarray, np.ndarray]:
    return index.search(queries, _NEIGHBOURS, exclude=[[item.key] for item in items], min_score=threshold)


def _cosines(
    index: OpenIndex, queries: np.ndarray, keys: np.ndarray, known: Mapping[int, np.ndarray]
) -> np.ndarray:
    """Of queries (Q, dim) and the items with these keys (Q, k), from the vectors as they were added."""
    wanted = [key for key in np.unique(keys).tolist() if key != NO_KEY and key not in known]
    rows = {**known, **index.stores.items.vectors(wanted)}
    found = np.full(keys.shape, -1.0)
    for place in range(len(queries)):
        for column, key in enumerate(keys[place].tolist()):
            if key in rows:
                norms = float(np.linalg.norm(queries[place]) * np.linalg.norm(rows[key]))
                found[place, column] = float(queries[place] @ rows[key]) / (norms or 1.0)
    return found


def _items(examples: Sequence[SnapshotExample], usable: np.ndarray, dataset: str) -> list[Item]:
    return [_item(row, example, dataset) for row, example in enumerate(examples) if usable[row]]


def _item(key: int, example: SnapshotExample, dataset: str) -> Item:
    text = example_metadata(example, dataset, DEFAULT_LABEL_FIELD)
    return Item(key, example.id or example.sha256, text, example.sha256, 0)


def _pages(items: Sequence[Item]) -> list[Sequence[Item]]:
    return [items[first : first + _PAGE] for first in range(0, len(items), _PAGE)]


def _checked(threshold: float) -> float:
    threshold = threshold or DEFAULT_THRESHOLD
    if not 0 < threshold <= 1:
        raise InvalidArgument(
            "THRESHOLD_INVALID", f"threshold is {threshold}; a cosine in (0, 1] is taken", field="threshold"
        )
    return threshold
