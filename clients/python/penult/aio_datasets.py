"""`client.datasets` for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from penult._achunks import achunks
from penult._datasets import (
    MAX_EXAMPLE_IMAGES,
    PAGE_SIZE,
    Labels,
    ManifestFile,
    add_changes,
    batches,
    dataset,
    example,
    example_filter,
    new_request_id,
    relabel_requests,
    split_request,
)
from penult._folders import labelled_files
from penult._indexes import duplicates_request
from penult._link import AsyncLink
from penult._progress import progress_bar
from penult._uploads import Described, Tally, upload_async
from penult.aio_jobs import AsyncJob
from penult.analysis_types import DatasetAnalysis
from penult.dataset_types import ChangeSummary, Dataset, Example, SplitName, UploadSummary
from penult.datasets import NO_LABELS, NO_SPLITS
from penult.index_types import NearDuplicates
from penult.sources import count_hint
from penult.v1 import dataset_pb2 as pb
from penult.v1 import dataset_pb2_grpc, index_pb2_grpc

if TYPE_CHECKING:
    from penult._achunks import AsyncImagesLike


class AsyncDatasets:
    """The same for asyncio; `Datasets` explains the arguments."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def create(self, name: str, *, multi_label: bool = False, timeout: float | None = None) -> Dataset:
        """A new, empty dataset. Raises AlreadyExists."""
        request = pb.CreateDatasetRequest(name=name, multi_label=multi_label, request_id=new_request_id())
        return dataset((await self._link.call(self._stub.CreateDataset, request, timeout)).dataset)

    async def list(self, *, timeout: float | None = None) -> list[Dataset]:
        """All datasets by name, without class counts; every page is fetched."""
        request = pb.ListDatasetsRequest(page_size=PAGE_SIZE)
        found: list[Dataset] = []
        while True:
            page = await self._link.call(self._stub.ListDatasets, request, timeout)
            found += map(dataset, page.datasets)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def get(self, name: str, *, timeout: float | None = None) -> Dataset:
        """One dataset with its class counts by split."""
        request = pb.GetDatasetRequest(name=name)
        return dataset((await self._link.call(self._stub.GetDataset, request, timeout)).dataset)

    async def delete(self, name: str, *, timeout: float | None = None) -> int:
        """Removes a dataset with its images, and returns how many examples it had."""
        request = pb.DeleteDatasetRequest(name=name, request_id=new_request_id())
        return int((await self._link.call(self._stub.DeleteDataset, request, timeout)).deleted)

    async def add(
        self,
        name: str,
        images: AsyncImagesLike,
        labels: Labels | Iterable[Labels | None] | None = None,
        *,
        split: SplitName | Iterable[SplitName | None] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
        ids: Iterable[str] | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> UploadSummary:
        """Uploads any number of images. What is there already stays as it is, so a repeat adds nothing."""
        described, tally = Described(images, labels, split, metadata, ids), Tally()
        answers = upload_async(
            self._stub.UploadExamples, name, achunks(images), described, tally, self._link.endpoint, timeout
        )
        with progress_bar(progress, count_hint(images), "upload") as advance:
            async with contextlib.aclosing(answers):
                async for count in answers:
                    advance(count)
        return tally.summary()

    async def add_folder(
        self,
        name: str,
        folder: str | os.PathLike[str],
        *,
        split: SplitName | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> UploadSummary:
        """Uploads FOLDER/CLASS/…, or FOLDER/SPLIT/CLASS/… where every first folder names a split."""
        files = await asyncio.to_thread(labelled_files, folder, split)
        return await self.add(
            name, files.paths, files.labels,
            split=files.splits, ids=files.ids, progress=progress, timeout=timeout,
        )  # fmt: skip

    async def examples(
        self,
        name: str,
        *,
        split: SplitName | Iterable[SplitName] | None = None,
        label: Labels | None = None,
        unlabelled: bool = False,
        timeout: float | None = None,
    ) -> AsyncGenerator[Example, None]:
        """Examples in the order in which they were added; pages are fetched as they are needed."""
        request = pb.ListExamplesRequest(
            dataset=name, page_size=PAGE_SIZE, filter=example_filter(split, label, unlabelled)
        )
        while True:
            page = await self._link.call(self._stub.ListExamples, request, timeout)
            for message in page.examples:
                yield example(message)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def relabel(
        self,
        name: str,
        labels: Mapping[str, Labels | None] = NO_LABELS,
        *,
        splits: Mapping[str, SplitName] = NO_SPLITS,
        timeout: float | None = None,
    ) -> ChangeSummary:
        """Gives examples other labels (None takes them away) and other splits, by sha256."""
        total, first = ChangeSummary(0, 0), 0
        for sha256s, request in relabel_requests(name, labels, splits):
            response = await self._link.call(self._stub.RelabelExamples, request, timeout)
            total = add_changes(total, sha256s, response, first)
            first += len(sha256s)
        return total

    async def split(
        self,
        name: str,
        *,
        train: float = 0.8,
        validation: float = 0.1,
        test: float = 0.1,
        seed: int = 0,
        stratified: bool = True,
        reassign: bool = False,
        timeout: float | None = None,
    ) -> Dataset:
        """Assigns splits; the same dataset, shares and seed always give the same."""
        fractions = {"train": train, "validation": validation, "test": test}
        request = split_request(name, fractions, seed, stratified, reassign)
        return dataset((await self._link.call(self._stub.SplitDataset, request, timeout)).dataset)

    async def remove(self, name: str, sha256s: Iterable[str], *, timeout: float | None = None) -> int:
        """Removes examples, and returns how many of them were there."""
        deleted = 0
        for some in batches(sha256s):
            request = pb.DeleteExamplesRequest(dataset=name, sha256=some, request_id=new_request_id())
            deleted += (await self._link.call(self._stub.DeleteExamples, request, timeout)).deleted
        return deleted

    async def export(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        split: SplitName | Iterable[SplitName] | None = None,
        label: Labels | None = None,
        unlabelled: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Writes a manifest, a JSON object of each example a line, and returns their number."""
        request = pb.ExportManifestRequest(dataset=name, filter=example_filter(split, label, unlabelled))
        with ManifestFile(path) as file:
            async for response in self._link.stream(self._stub.ExportManifest, request, timeout):
                file.write(response.examples)
        return file.count

    async def analyze(self, name: str, *, timeout: float | None = None) -> AsyncJob[DatasetAnalysis]:
        """Starts a job that looks for unreadable and tiny images and for duplicates."""
        request = pb.AnalyzeDatasetRequest(name=name, request_id=new_request_id())
        response = await self._link.call(self._stub.AnalyzeDataset, request, timeout)
        return AsyncJob.of(self._link, response.job)

    async def near_duplicates(
        self,
        name: str,
        threshold: float = 0.95,
        *,
        backbone: str | None = None,
        timeout: float | None = None,
    ) -> AsyncJob[NearDuplicates]:
        """Starts a job that groups images whose features have a cosine of at least `threshold`."""
        request = duplicates_request(name, threshold, backbone)
        stub = self._link.stub(index_pb2_grpc.IndexServiceStub)
        return AsyncJob.of(self._link, (await self._link.call(stub.FindNearDuplicates, request, timeout)).job)

    async def images(
        self, name: str, sha256s: Iterable[str], *, timeout: float | None = None
    ) -> dict[str, bytes]:
        """The image files of examples, by sha256; those that the dataset does not hold are left out."""
        found: dict[str, bytes] = {}
        for some in batches(sha256s, MAX_EXAMPLE_IMAGES):
            request = pb.GetExampleImagesRequest(dataset=name, sha256=some)
            response = await self._link.call(self._stub.GetExampleImages, request, timeout)
            found.update((image.sha256, image.image) for image in response.images)
        return found

    @property
    def _stub(self) -> Any:
        return self._link.stub(dataset_pb2_grpc.DatasetServiceStub)
