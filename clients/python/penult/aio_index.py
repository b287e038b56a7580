"""An index for asyncio; `index` explains the arguments."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from penult._chunks import Chunk
from penult._datasets import new_request_id
from penult._exchange import exchange_async
from penult._indexes import (
    add_dataset_request,
    index_evaluation,
    index_fields,
    index_stats,
    reembed_request,
)
from penult._link import AsyncLink
from penult._searches import Search, found, only
from penult.aio_index_items import AsyncIndexItems
from penult.aio_jobs import AsyncJob
from penult.index_types import Hit, IndexEvaluation, IndexInfo, IndexStats, NearDuplicates
from penult.tta import TTA
from penult.v1 import index_pb2 as pb
from penult.v1 import index_resource_pb2 as resource_pb

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from penult._achunks import AsyncImagesLike
    from penult._options import FeatureChoices
    from penult.dataset_types import SplitName


class AsyncIndex(AsyncIndexItems):
    """`Index` for asyncio. Its fields stay as they were; `refresh` gives new ones."""

    @classmethod
    def of(cls, link: AsyncLink, message: resource_pb.Index) -> AsyncIndex:
        """From a message of the server."""
        index = cls(**index_fields(message))
        object.__setattr__(index, "_link", link)
        return index

    async def refresh(self, *, timeout: float | None = None) -> AsyncIndex:
        """The index as it is now."""
        request = pb.GetIndexRequest(name=self.name)
        return AsyncIndex.of(self._link, (await self._link.call(self._stub.GetIndex, request, timeout)).index)

    async def search(
        self,
        images: AsyncImagesLike | None = None,
        *,
        vector: Any = None,
        id: str | Iterable[str] | None = None,
        k: int = 10,
        filter: str | None = None,
        min_score: float | None = None,
        exclude: str | Iterable[str] = (),
        with_vectors: bool = False,
        tta: TTA = None,
        fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The nearest items, best first, equal scores by id: a list of Hit, or one such list a query."""
        search = Search(
            self.name, images, vector, id, k=k, filter=filter, min_score=min_score, exclude=exclude,
            with_vectors=with_vectors, tta=tta, fingerprint=fingerprint,
        )  # fmt: skip
        requests = search.requests_async()
        first = await anext(requests, None)
        if first is None:
            return []
        second = await anext(requests, None)
        if second is None:
            response = await self._link.call(self._stub.Search, first[0], timeout)
            results = found(response, first[1], 0)
            return only(results) if search.single else results
        return [hits async for hits in self._streamed([first, second], requests, timeout)]

    async def search_iter(
        self,
        images: AsyncImagesLike | None = None,
        *,
        vectors: Any = None,
        ids: Iterable[str] | None = None,
        k: int = 10,
        filter: str | None = None,
        min_score: float | None = None,
        exclude: str | Iterable[str] = (),
        with_vectors: bool = False,
        tta: TTA = None,
        fingerprint: str | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[list[Hit], None]:
        """Like `search`, but yields the hits of each query in order: for any number of queries."""
        search = Search(
            self.name, images, vectors, None if ids is None else list(ids), k=k, filter=filter,
            min_score=min_score, exclude=exclude, with_vectors=with_vectors, tta=tta, fingerprint=fingerprint,
        )  # fmt: skip
        async with contextlib.aclosing(self._streamed([], search.requests_async(), timeout)) as results:
            async for hits in results:
                yield hits

    async def evaluate(
        self, k: int = 10, *, sample: int = 1000, timeout: float | None = None
    ) -> IndexEvaluation:
        """Recall@k against exact search, and precision and mean average precision where items carry labels.

        Up to `sample` of its own items are the queries; each leaves itself out.
        """
        request = pb.EvaluateIndexRequest(index=self.name, k=k, sample=sample)
        response = await self._link.call(self._stub.EvaluateIndex, request, timeout)
        return index_evaluation(response.evaluation)

    async def optimize(self, *, timeout: float | None = None) -> AsyncJob[IndexInfo]:
        """Starts a job that puts all items into the structure that fits best, and reclaims space.

        The server does so by itself when it is worth its while. The job's result is an IndexInfo.
        """
        request = pb.OptimizeIndexRequest(index=self.name, request_id=new_request_id())
        return await self._job(self._stub.OptimizeIndex, request, timeout)

    async def add_dataset(
        self,
        dataset: str,
        *,
        split: SplitName | Iterable[SplitName] | None = None,
        timeout: float | None = None,
    ) -> AsyncJob[IndexInfo]:
        """Starts a job that adds the images of a dataset with their labels, or of some of its splits.

        An item gets the id of its example where no other one has it, else the sha256 of the image.
        The job's result is an IndexInfo.
        """
        return await self._job(self._stub.AddDataset, add_dataset_request(self.name, dataset, split), timeout)

    async def reembed(
        self,
        new_name: str,
        backbone: str | None = None,
        *,
        alias: str = "",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> AsyncJob[IndexInfo]:
        """Starts a job that makes a new index of the same images for other features."""
        request = reembed_request(self.name, new_name, backbone, alias, choices)
        return await self._job(self._stub.ReembedIndex, request, timeout)

    async def near_duplicates(
        self, threshold: float = 0.95, *, timeout: float | None = None
    ) -> AsyncJob[NearDuplicates]:
        """Starts a job that groups items with the same picture, or with a cosine of at least `threshold`.

        The job's result is a NearDuplicates.
        """
        request = pb.FindNearDuplicatesRequest(
            index=self.name, threshold=threshold, request_id=new_request_id()
        )
        return await self._job(self._stub.FindNearDuplicates, request, timeout)

    async def stats(self, *, timeout: float | None = None) -> IndexStats:
        """Counts, memory, the structure at work and why, measured recall, latency."""
        request = pb.GetIndexStatsRequest(index=self.name)
        response = await self._link.call(self._stub.GetIndexStats, request, timeout)
        return index_stats(response.stats)

    async def _job(self, method: Any, request: Any, timeout: float | None) -> AsyncJob[Any]:
        return AsyncJob.of(self._link, (await self._link.call(method, request, timeout)).job)

    async def _streamed(
        self,
        head: list[tuple[pb.SearchRequest, Chunk | None]],
        rest: AsyncIterator[tuple[pb.SearchRequest, Chunk | None]],
        timeout: float | None,
    ) -> AsyncGenerator[list[Hit], None]:
        sent: deque[Chunk | None] = deque()

        async def requests() -> AsyncIterator[pb.SearchStreamRequest]:
            for request, chunk in head:
                sent.append(chunk)
                yield pb.SearchStreamRequest(request=request)
            async for request, chunk in rest:
                sent.append(chunk)
                yield pb.SearchStreamRequest(request=request)

        first = 0
        answers = exchange_async(self._stub.SearchStream, requests(), self._link.endpoint, timeout)
        async with contextlib.aclosing(answers):
            async for answer in answers:
                results = found(answer.response, sent.popleft(), first)
                first += len(results)
                for hits in results:
                    yield hits
