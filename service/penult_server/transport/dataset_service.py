"""DatasetService: labelled images in, and what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from penult.v1 import dataset_pb2 as pb
from penult.v1 import dataset_pb2_grpc
from penult_server.core.analyze_dataset import AnalyzeDataset
from penult_server.core.datasets import NewExample
from penult_server.core.errors import InvalidArgument
from penult_server.core.manage_datasets import ManageDatasets
from penult_server.core.upload_examples import UploadExamples
from penult_server.transport.convert_datasets import (
    change_from_wire,
    dataset_to_wire,
    example_from_wire,
    example_to_wire,
    filter_from_wire,
    plan_from_wire,
)
from penult_server.transport.convert_images import item_error_to_wire
from penult_server.transport.convert_jobs import job_to_wire

Context = grpc.aio.ServicerContext


class DatasetService(dataset_pb2_grpc.DatasetServiceServicer):
    """See protos/penult/v1/dataset.proto."""

    def __init__(self, datasets: ManageDatasets, upload: UploadExamples, analyze: AnalyzeDataset) -> None:
        """The use cases."""
        self._datasets = datasets
        self._upload = upload
        self._analyze = analyze

    async def CreateDataset(
        self, request: pb.CreateDatasetRequest, context: Context
    ) -> pb.CreateDatasetResponse:
        """A new one."""
        dataset = await self._datasets.create(request.name, request.multi_label, request.request_id)
        return pb.CreateDatasetResponse(dataset=dataset_to_wire(dataset))

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.GetDatasetResponse:
        """One, with class counts."""
        return pb.GetDatasetResponse(dataset=dataset_to_wire(await self._datasets.get(request.name)))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        """One page of datasets."""
        page = await self._datasets.list(request.page_size, request.page_token)
        return pb.ListDatasetsResponse(
            datasets=map(dataset_to_wire, page.items), next_page_token=page.next_token
        )

    async def DeleteDataset(
        self, request: pb.DeleteDatasetRequest, context: Context
    ) -> pb.DeleteDatasetResponse:
        """Gone, with its images."""
        deleted = await self._datasets.delete(request.name, request.request_id)
        return pb.DeleteDatasetResponse(deleted=deleted)

    async def UploadExamples(
        self, requests: AsyncIterator[pb.UploadExamplesRequest], context: Context
    ) -> AsyncIterator[pb.UploadExamplesResponse]:
        """A receipt for every message, in order."""
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("EMPTY_STREAM", "the stream ended before its first message")
        messages = _messages(first, requests)
        async for receipt in self._upload.stream(first.dataset, first.request_id, messages):
            yield pb.UploadExamplesResponse(
                first_index=receipt.first_index,
                added=receipt.added,
                unchanged=receipt.unchanged,
                errors=map(item_error_to_wire, receipt.errors),
            )

    async def ListExamples(
        self, request: pb.ListExamplesRequest, context: Context
    ) -> pb.ListExamplesResponse:
        """One page of examples."""
        page = await self._datasets.examples(
            request.dataset, filter_from_wire(request.filter), request.page_size, request.page_token
        )
        return pb.ListExamplesResponse(
            examples=map(example_to_wire, page.items), next_page_token=page.next_token
        )

    async def GetExampleImages(
        self, request: pb.GetExampleImagesRequest, context: Context
    ) -> pb.GetExampleImagesResponse:
        """Image files."""
        found = await self._datasets.images(request.dataset, list(dict.fromkeys(request.sha256)))
        images = [pb.ExampleImage(sha256=sha256, image=data) for sha256, data in found.items()]
        return pb.GetExampleImagesResponse(images=images)

    async def RelabelExamples(
        self, request: pb.RelabelExamplesRequest, context: Context
    ) -> pb.RelabelExamplesResponse:
        """Other labels, other splits."""
        changes = list(map(change_from_wire, request.changes))
        summary = await self._datasets.relabel(request.dataset, changes, request.request_id)
        return pb.RelabelExamplesResponse(
            changed=summary.changed,
            unchanged=summary.unchanged,
            errors=map(item_error_to_wire, summary.errors),
        )

    async def SplitDataset(
        self, request: pb.SplitDatasetRequest, context: Context
    ) -> pb.SplitDatasetResponse:
        """Train, validation, test."""
        dataset, changed = await self._datasets.split(
            request.dataset, plan_from_wire(request), request.request_id
        )
        return pb.SplitDatasetResponse(dataset=dataset_to_wire(dataset), changed=changed)

    async def DeleteExamples(
        self, request: pb.DeleteExamplesRequest, context: Context
    ) -> pb.DeleteExamplesResponse:
        """Examples gone."""
        wanted = list(dict.fromkeys(request.sha256))
        deleted = await self._datasets.remove(request.dataset, wanted, request.request_id)
        return pb.DeleteExamplesResponse(deleted=deleted, missing=len(wanted) - deleted)

    async def AnalyzeDataset(
        self, request: pb.AnalyzeDatasetRequest, context: Context
    ) -> pb.AnalyzeDatasetResponse:
        """Starts the job."""
        job = await self._analyze.run(request.name, request.request_id)
        return pb.AnalyzeDatasetResponse(job=job_to_wire(job))

    async def ExportManifest(
        self, request: pb.ExportManifestRequest, context: Context
    ) -> AsyncIterator[pb.ExportManifestResponse]:
        """All examples of one revision."""
        async for revision, examples in self._datasets.export(
            request.dataset, filter_from_wire(request.filter)
        ):
            yield pb.ExportManifestResponse(examples=map(example_to_wire, examples), revision=revision)


async def _messages(
    first: pb.UploadExamplesRequest, rest: AsyncIterator[pb.UploadExamplesRequest]
) -> AsyncIterator[list[NewExample]]:
    yield list(map(example_from_wire, first.examples))
    async for request in rest:
        yield list(map(example_from_wire, request.examples))
