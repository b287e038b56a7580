"""The job that adds the images of a dataset to an index."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from penult_server.core.add_items import AddItemsToIndex
from penult_server.core.dataset_ports import DatasetSnapshots
from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.images import EncodedImage
from penult_server.core.index_jobs import Paced, index_result
from penult_server.core.indexes import AddMode
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job, LogLine, Metrics
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.new_items import NewItem, NewItems
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_queries import options_of
from penult_server.core.snapshot import SnapshotExample, image_file, read_examples

KIND = "add_dataset"
_MESSAGE = 32
_MAX_LOGGED = 20


class AddDataset:
    """Items get the id of their example where that is there and its own, else the sha256 of the image.

    Their metadata is that of the example, and `label_field` (a list where there are several), `split` and
    `dataset`. Items that are there already are replaced.
    """

    def __init__(
        self, indexes: OpenIndexes, add: AddItemsToIndex, snapshots: DatasetSnapshots, jobs: ManageJobs
    ) -> None:
        """`snapshots` takes the dataset as it is when the job is asked for."""
        self._indexes = indexes
        self._add = add
        self._snapshots = snapshots
        self._jobs = jobs

    async def start(self, name: str, dataset: str, splits: Collection[Split], request_id: str) -> Job:
        """Queues it.

        Raises:
            NotFound: no such index or dataset.
            FailedPrecondition: the dataset has no examples, or the index takes vectors only.
            ResourceExhausted: too many jobs wait, or the disk is full.
        """
        index = self._indexes.find(name)
        options_of(index.maker)
        wanted = frozenset(splits)

        def prepare(directory: Path) -> None:
            self._snapshots.take(dataset, directory)
            if not any(not wanted or example.split in wanted for example in read_examples(directory)):
                raise FailedPrecondition(
                    "DATASET_EMPTY", f"dataset {dataset!r} has no examples in these splits"
                )

        parameters = {"dataset": dataset, "splits": sorted(split.value for split in wanted)}
        return await self._jobs.submit(NewJob(KIND, index.name, parameters, prepare, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> Mapping[str, Any]:
        """See core.job_ports.Stage."""
        index = self._indexes.find(job.subject)
        splits = {Split(word) for word in job.parameters["splits"]}
        examples = await asyncio.to_thread(
            lambda: [e for e in read_examples(directory) if not splits or e.split in splits]
        )
        ids = collections.Counter(example.id for example in examples)
        paced = Paced(report, len(examples), "images", "add")

        def messages() -> Iterator[list[SnapshotExample]]:
            for start in range(0, len(examples), _MESSAGE):
                yield examples[start : start + _MESSAGE]

        def read(example: SnapshotExample) -> NewItem:
            item_id = example.id if example.id and ids[example.id] == 1 else example.sha256
            text = example_metadata(example, job.parameters["dataset"], index.maker.label_field)
            try:
                data = image_file(directory, example.sha256).read_bytes()
            except FileNotFoundError:
                data = b""  # damaged; becomes the error of this item
            return NewItem(item_id, text, EncodedImage(data, example.id))

        async def new_items() -> AsyncIterator[NewItems]:
            for some in messages():
                items = await asyncio.to_thread(list, map(read, some))
                yield NewItems(items, AddMode.UPSERT)

        done, counts, failed = 0, collections.Counter[str](), 0
        # The job's id makes a second run after a crash the same write.
        receipts = self._add.stream_into(index, job.id, new_items())
        async with contextlib.aclosing(receipts):
            async for receipt in receipts:
                done += receipt.count
                counts.update(added=receipt.added, updated=receipt.updated, unchanged=receipt.unchanged)
                for error in receipt.errors:
                    if failed < _MAX_LOGGED:
                        await report([LogLine("warning", f"{error.id}: {error.message} [{error.reason}]")])
                    failed += 1
                await paced.at(done)
        await report([Metrics({**{k: float(v) for k, v in counts.items()}, "refused": float(failed)})])
        return index_result(await asyncio.to_thread(self._indexes.stores.indexes.by_id, index.id))


def example_metadata(example: SnapshotExample, dataset: str, label_field: str) -> str:
    """Its own metadata with its label or list of labels, its split and its dataset, as JSON."""
    values: dict[str, Any] = json.loads(example.metadata_json) if example.metadata_json else {}
    if example.labels:
        values[label_field] = example.labels[0] if len(example.labels) == 1 else list(example.labels)
    return json.dumps({**values, "split": example.split.value, "dataset": dataset}, ensure_ascii=False)
