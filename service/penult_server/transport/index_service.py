"""IndexService: what looks alike."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncIterator

import grpc

from penult.v1 import index_pb2 as pb
from penult.v1 import index_pb2_grpc
from penult_server.core.add_items import AddItemsToIndex
from penult_server.core.archive_index import ArchiveIndex
from penult_server.core.errors import InvalidArgument
from penult_server.core.evaluate_index import EvaluateIndex
from penult_server.core.index_dataset import AddDataset
from penult_server.core.index_jobs import OptimizeIndex
from penult_server.core.manage_indexes import ManageIndexes
from penult_server.core.near_duplicates import FindNearDuplicates
from penult_server.core.new_items import NewItems
from penult_server.core.reembed_index import ReembedIndex
from penult_server.core.search_index import SearchIndex
from penult_server.core.searches import SearchRequest
from penult_server.transport.convert_datasets import splits_from_wire
from penult_server.transport.convert_features import options_from_wire
from penult_server.transport.convert_files import chunks_of, facts_from_wire, header_of, part_to_wire
from penult_server.transport.convert_indexes import (
    evaluation_to_wire,
    index_to_wire,
    spec_from_wire,
    stats_to_wire,
)
from penult_server.transport.convert_items import (
    answer_to_wire,
    found_to_wire,
    item_to_wire,
    new_items_from_wire,
    receipt_to_wire,
    search_from_wire,
)
from penult_server.transport.convert_jobs import job_to_wire

Context = grpc.aio.ServicerContext


@dataclasses.dataclass(frozen=True, slots=True)
class IndexJobs:
    """What starts the jobs on indexes."""

    optimize: OptimizeIndex
    add_dataset: AddDataset
    reembed: ReembedIndex
    near_duplicates: FindNearDuplicates


class IndexService(index_pb2_grpc.IndexServiceServicer):
    """See protos/penult/v1/index.proto."""

    def __init__(
        self,
        manage: ManageIndexes,
        add: AddItemsToIndex,
        search: SearchIndex,
        evaluate: EvaluateIndex,
        archive: ArchiveIndex,
        jobs: IndexJobs,
    ) -> None:
        """The use cases."""
        self._manage = manage
        self._add = add
        self._search = search
        self._evaluate = evaluate
        self._archive = archive
        self._jobs = jobs

    async def CreateIndex(self, request: pb.CreateIndexRequest, context: Context) -> pb.CreateIndexResponse:
        """A new index."""
        described = await self._manage.create(
            request.name,
            spec_from_wire(request.spec),
            options_from_wire(request.options) if request.HasField("options") else None,
            fingerprint=request.fingerprint,
            keeps_images=not request.discard_images,
            label_field=request.label_field,
            request_id=request.request_id,
        )
        return pb.CreateIndexResponse(index=index_to_wire(described))

    async def GetIndex(self, request: pb.GetIndexRequest, context: Context) -> pb.GetIndexResponse:
        """One index."""
        return pb.GetIndexResponse(index=index_to_wire(await self._manage.get(request.name)))

    async def ListIndexes(self, request: pb.ListIndexesRequest, context: Context) -> pb.ListIndexesResponse:
        """One page of indexes."""
        page = await self._manage.list(request.page_size, request.page_token)
        return pb.ListIndexesResponse(indexes=map(index_to_wire, page.items), next_page_token=page.next_token)

    async def DeleteIndex(self, request: pb.DeleteIndexRequest, context: Context) -> pb.DeleteIndexResponse:
        """An index gone."""
        return pb.DeleteIndexResponse(removed=await self._manage.delete(request.name, request.request_id))

    async def AddItems(self, request: pb.AddItemsRequest, context: Context) -> pb.AddItemsResponse:
        """Items in one transaction."""
        receipt = await self._add.add(request.index, new_items_from_wire(request.items), request.request_id)
        return pb.AddItemsResponse(receipt=receipt_to_wire(receipt))

    async def AddItemsStream(
        self, requests: AsyncIterator[pb.AddItemsStreamRequest], context: Context
    ) -> AsyncIterator[pb.AddItemsStreamResponse]:
        """A receipt for each message, in order."""
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("EMPTY_STREAM", "the stream ended before its first message")
        async for receipt in self._add.stream(first.index, first.request_id, _messages(first, requests)):
            yield pb.AddItemsStreamResponse(receipt=receipt_to_wire(receipt))

    async def RemoveItems(self, request: pb.RemoveItemsRequest, context: Context) -> pb.RemoveItemsResponse:
        """Items gone."""
        receipt = await self._add.remove(request.index, request.ids, request.request_id)
        return pb.RemoveItemsResponse(removed=receipt.removed, missing=receipt.missing)

    async def GetItems(self, request: pb.GetItemsRequest, context: Context) -> pb.GetItemsResponse:
        """Items by id."""
        found = await self._manage.items(
            request.index, request.ids, with_vectors=request.with_vectors, with_images=request.with_images
        )
        return found_to_wire(found)

    async def ListItems(self, request: pb.ListItemsRequest, context: Context) -> pb.ListItemsResponse:
        """One page of items."""
        page = await self._manage.page(request.index, request.filter, request.page_size, request.page_token)
        return pb.ListItemsResponse(items=map(item_to_wire, page.items), next_page_token=page.next_token)

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """The nearest items."""
        answer = await self._search.search(search_from_wire(request))
        return answer_to_wire(answer, in_columns=request.in_columns)

    async def SearchStream(
        self, requests: AsyncIterator[pb.SearchStreamRequest], context: Context
    ) -> AsyncIterator[pb.SearchStreamResponse]:
        """The nearest items for each message, in order."""
        in_columns: deque[bool] = deque()
        async for answer in self._search.stream(_searches(requests, in_columns)):
            yield pb.SearchStreamResponse(response=answer_to_wire(answer, in_columns=in_columns.popleft()))

    async def GetIndexStats(
        self, request: pb.GetIndexStatsRequest, context: Context
    ) -> pb.GetIndexStatsResponse:
        """How it is doing."""
        return pb.GetIndexStatsResponse(stats=stats_to_wire(await self._manage.stats(request.index)))

    async def EvaluateIndex(
        self, request: pb.EvaluateIndexRequest, context: Context
    ) -> pb.EvaluateIndexResponse:
        """How well it finds."""
        found = await self._evaluate.run(request.index, request.k, request.sample)
        return pb.EvaluateIndexResponse(evaluation=evaluation_to_wire(found))

    async def SnapshotIndex(
        self, request: pb.SnapshotIndexRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotIndexResponse]:
        """One file."""
        parts = self._archive.snapshot(request.index, with_images=not request.without_images)
        async with contextlib.aclosing(parts):
            async for part in parts:
                yield part_to_wire(pb.SnapshotIndexResponse, part)

    async def RestoreIndex(
        self, requests: AsyncIterator[pb.RestoreIndexRequest], context: Context
    ) -> pb.RestoreIndexResponse:
        """A new index of one file."""
        header, chunks = await header_of(requests), chunks_of(requests)
        facts = facts_from_wire(header.file)
        described = await self._archive.restore(header.name, facts, header.request_id, chunks)
        return pb.RestoreIndexResponse(index=index_to_wire(described))

    async def OptimizeIndex(
        self, request: pb.OptimizeIndexRequest, context: Context
    ) -> pb.OptimizeIndexResponse:
        """Starts the job."""
        job = await self._jobs.optimize.start(request.index, request.request_id)
        return pb.OptimizeIndexResponse(job=job_to_wire(job))

    async def AddDataset(self, request: pb.AddDatasetRequest, context: Context) -> pb.AddDatasetResponse:
        """Starts the job."""
        splits = splits_from_wire(request.splits)
        job = await self._jobs.add_dataset.start(request.index, request.dataset, splits, request.request_id)
        return pb.AddDatasetResponse(job=job_to_wire(job))

    async def ReembedIndex(
        self, request: pb.ReembedIndexRequest, context: Context
    ) -> pb.ReembedIndexResponse:
        """Starts the job."""
        job = await self._jobs.reembed.start(
            request.index,
            options_from_wire(request.options),
            request.new_name,
            request.alias,
            request.request_id,
        )
        return pb.ReembedIndexResponse(job=job_to_wire(job))

    async def FindNearDuplicates(
        self, request: pb.FindNearDuplicatesRequest, context: Context
    ) -> pb.FindNearDuplicatesResponse:
        """Starts the job."""
        find, rest = self._jobs.near_duplicates, (request.threshold, request.request_id)
        if bool(request.index) == bool(request.dataset):
            raise InvalidArgument("SUBJECT_INVALID", "give either an index or a dataset", field="index")
        if request.dataset:
            job = await find.start_dataset(request.dataset, request.backbone, *rest)
        else:
            job = await find.start(request.index, *rest)
        return pb.FindNearDuplicatesResponse(job=job_to_wire(job))

    async def SetIndexAlias(
        self, request: pb.SetIndexAliasRequest, context: Context
    ) -> pb.SetIndexAliasResponse:
        """An alias."""
        described = await self._manage.set_alias(request.alias, request.index, request.request_id)
        return pb.SetIndexAliasResponse(index=index_to_wire(described))

    async def DeleteIndexAlias(
        self, request: pb.DeleteIndexAliasRequest, context: Context
    ) -> pb.DeleteIndexAliasResponse:
        """No alias."""
        await self._manage.delete_alias(request.alias, request.request_id)
        return pb.DeleteIndexAliasResponse()


async def _messages(
    first: pb.AddItemsStreamRequest, rest: AsyncIterator[pb.AddItemsStreamRequest]
) -> AsyncIterator[NewItems]:
    yield new_items_from_wire(first.items)
    async for request in rest:
        yield new_items_from_wire(request.items)


async def _searches(
    requests: AsyncIterator[pb.SearchStreamRequest], in_columns: deque[bool]
) -> AsyncIterator[SearchRequest]:
    async for request in requests:
        in_columns.append(request.request.in_columns)
        yield search_from_wire(request.request)
