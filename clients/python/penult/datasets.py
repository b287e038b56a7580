"""`client.datasets`: labelled images on the server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penult._chunks import chunks
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
from penult._link import Link
from penult._progress import progress_bar
from penult._uploads import Described, Tally, upload
from penult.analysis_types import DatasetAnalysis
from penult.dataset_types import ChangeSummary, Dataset, Example, SplitName, UploadSummary
from penult.index_types import NearDuplicates
from penult.jobs import Job
from penult.sources import count_hint
from penult.v1 import dataset_pb2 as pb
from penult.v1 import dataset_pb2_grpc, index_pb2_grpc

if TYPE_CHECKING:
    from penult.sources import ImagesLike

NO_LABELS: Mapping[str, Labels | None] = {}
NO_SPLITS: Mapping[str, SplitName] = {}


class Datasets:
    """The datasets of a server. Every method raises PenultError; NotFound where the name is unknown."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def create(self, name: str, *, multi_label: bool = False, timeout: float | None = None) -> Dataset:
        """A new, empty dataset. Raises AlreadyExists.

        Args:
            name: [a-z0-9][a-z0-9._-]{0,62}.
            multi_label: its examples may carry several labels, else at most one.
            timeout: seconds for the call.
        """
        request = pb.CreateDatasetRequest(name=name, multi_label=multi_label, request_id=new_request_id())
        return dataset(self._link.call(self._stub.CreateDataset, request, timeout).dataset)

    def list(self, *, timeout: float | None = None) -> list[Dataset]:
        """All datasets by name, without class counts; every page is fetched."""
        request = pb.ListDatasetsRequest(page_size=PAGE_SIZE)
        found: list[Dataset] = []
        while True:
            page = self._link.call(self._stub.ListDatasets, request, timeout)
            found += map(dataset, page.datasets)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def get(self, name: str, *, timeout: float | None = None) -> Dataset:
        """One dataset with its class counts by split."""
        request = pb.GetDatasetRequest(name=name)
        return dataset(self._link.call(self._stub.GetDataset, request, timeout).dataset)

    def delete(self, name: str, *, timeout: float | None = None) -> int:
        """Removes a dataset with its images, and returns how many examples it had."""
        request = pb.DeleteDatasetRequest(name=name, request_id=new_request_id())
        return int(self._link.call(self._stub.DeleteDataset, request, timeout).deleted)

    def add(
        self,
        name: str,
        images: ImagesLike,
        labels: Labels | Iterable[Labels | None] | None = None,
        *,
        split: SplitName | Iterable[SplitName | None] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | Mapping[str, Any] | None = None,
        ids: Iterable[str] | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> UploadSummary:
        """Uploads any number of images. What is there already stays as it is, so a repeat adds nothing.

        Args:
            name: the dataset.
            images: whatever `Client.extract` takes; read lazily.
            labels: one for all, or an iterable with a label (or in a multi-label dataset a collection
                of labels, or None) for each image.
            split: one for all, or one for each image; None leaves it to `split`.
            metadata: values that JSON can hold, for each image, or one mapping for all.
            ids: the caller's names of the images; the default is the file name.
            progress: draws a bar on standard error, if that is a terminal.
            timeout: seconds for each answer of the stream.

        Returns:
            What was added, what was there, and the images that were refused; those also warn with
            SkippedImages.

        Raises:
            InvalidArgument: the number of labels, splits, ids or metadata is not that of the images. What
                was sent before that showed is added.
        """
        described, tally = Described(images, labels, split, metadata, ids), Tally()
        answers = upload(
            self._stub.UploadExamples, name, chunks(images), described, tally, self._link.endpoint, timeout
        )
        with progress_bar(progress, count_hint(images), "upload") as advance, contextlib.closing(answers):
            for count in answers:
                advance(count)
        return tally.summary()

    def add_folder(
        self,
        name: str,
        folder: str | os.PathLike[str],
        *,
        split: SplitName | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> UploadSummary:
        """Uploads FOLDER/CLASS/…, or FOLDER/SPLIT/CLASS/… where every first folder names a split.

        Folders train, val, valid, validation and test name splits, unless `split` gives one for all
        images. Each id is the path below the folder.
        """
        files = labelled_files(folder, split)
        return self.add(
            name, files.paths, files.labels,
            split=files.splits, ids=files.ids, progress=progress, timeout=timeout,
        )  # fmt: skip

    def examples(
        self,
        name: str,
        *,
        split: SplitName | Iterable[SplitName] | None = None,
        label: Labels | None = None,
        unlabelled: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Example]:
        """Examples in the order in which they were added; pages are fetched as they are needed.

        Args:
            name: the dataset.
            split: keeps those in this split, or in any of these.
            label: keeps those with this label, or with any of these.
            unlabelled: keeps those without any.
            timeout: seconds for each page.
        """
        request = pb.ListExamplesRequest(
            dataset=name, page_size=PAGE_SIZE, filter=example_filter(split, label, unlabelled)
        )
        while True:
            page = self._link.call(self._stub.ListExamples, request, timeout)
            yield from map(example, page.examples)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def relabel(
        self,
        name: str,
        labels: Mapping[str, Labels | None] = NO_LABELS,
        *,
        splits: Mapping[str, SplitName] = NO_SPLITS,
        timeout: float | None = None,
    ) -> ChangeSummary:
        """Gives examples other labels (None takes them away) and other splits, by sha256.

        Up to 10,000 changes are one transaction; more are several.
        """
        total, first = ChangeSummary(0, 0), 0
        for sha256s, request in relabel_requests(name, labels, splits):
            response = self._link.call(self._stub.RelabelExamples, request, timeout)
            total = add_changes(total, sha256s, response, first)
            first += len(sha256s)
        return total

    def split(
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
        """Assigns splits; the same dataset, shares and seed always give the same.

        Args:
            name: the dataset.
            train: share of the examples, as are `validation` and `test`; they add up to 1.
            validation: see `train`.
            test: see `train`.
            seed: another one gives another split.
            stratified: shares hold in every class; else each picture's split depends on itself alone.
            reassign: examples that have a split may move; else only the unassigned get one.
            timeout: seconds for the call.
        """
        fractions = {"train": train, "validation": validation, "test": test}
        request = split_request(name, fractions, seed, stratified, reassign)
        return dataset(self._link.call(self._stub.SplitDataset, request, timeout).dataset)

    def remove(self, name: str, sha256s: Iterable[str], *, timeout: float | None = None) -> int:
        """Removes examples, and returns how many of them were there."""
        deleted = 0
        for some in batches(sha256s):
            request = pb.DeleteExamplesRequest(dataset=name, sha256=some, request_id=new_request_id())
            deleted += self._link.call(self._stub.DeleteExamples, request, timeout).deleted
        return deleted

    def export(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        split: SplitName | Iterable[SplitName] | None = None,
        label: Labels | None = None,
        unlabelled: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Writes a manifest, a JSON object of each example a line, and returns their number.

        The file appears whole or not at all. Raises FailedPrecondition where the dataset changes
        meanwhile. `split`, `label` and `unlabelled` are as in `examples`.
        """
        request = pb.ExportManifestRequest(dataset=name, filter=example_filter(split, label, unlabelled))
        with ManifestFile(path) as file:
            for response in self._link.stream(self._stub.ExportManifest, request, timeout):
                file.write(response.examples)
        return file.count

    def analyze(self, name: str, *, timeout: float | None = None) -> Job[DatasetAnalysis]:
        """Starts a job that looks for unreadable and tiny images and for duplicates within and across splits.

        `analyze(name).result()` waits for its DatasetAnalysis. It works on the dataset as it is now.
        """
        request = pb.AnalyzeDatasetRequest(name=name, request_id=new_request_id())
        return Job.of(self._link, self._link.call(self._stub.AnalyzeDataset, request, timeout).job)

    def near_duplicates(
        self,
        name: str,
        threshold: float = 0.95,
        *,
        backbone: str | None = None,
        timeout: float | None = None,
    ) -> Job[NearDuplicates]:
        """Starts a job that groups images whose features have a cosine of at least `threshold`.

        It works on the dataset as it is now, with features of `backbone`, None for the server's default.
        The job's result is a NearDuplicates, as that of `Index.near_duplicates`.
        """
        request = duplicates_request(name, threshold, backbone)
        stub = self._link.stub(index_pb2_grpc.IndexServiceStub)
        return Job.of(self._link, self._link.call(stub.FindNearDuplicates, request, timeout).job)

    def images(self, name: str, sha256s: Iterable[str], *, timeout: float | None = None) -> dict[str, bytes]:
        """The image files of examples, by sha256; those that the dataset does not hold are left out."""
        found: dict[str, bytes] = {}
        for some in batches(sha256s, MAX_EXAMPLE_IMAGES):
            request = pb.GetExampleImagesRequest(dataset=name, sha256=some)
            response = self._link.call(self._stub.GetExampleImages, request, timeout)
            found.update((image.sha256, image.image) for image in response.images)
        return found

    @property
    def _stub(self) -> Any:
        return self._link.stub(dataset_pb2_grpc.DatasetServiceStub)
