"""An index, and what can be done with it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from penult._chunks import Chunk
from penult._datasets import new_request_id
from penult._exchange import exchange
from penult._indexes import (
    add_dataset_request,
    index_evaluation,
    index_fields,
    index_stats,
    reembed_request,
)
from penult._link import Link
from penult._searches import Search, found, only
from penult.index_items import IndexItems
from penult.index_types import Hit, IndexEvaluation, IndexInfo, IndexStats, NearDuplicates
from penult.jobs import Job
from penult.tta import TTA
from penult.v1 import index_pb2 as pb
from penult.v1 import index_resource_pb2 as resource_pb

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from penult._options import FeatureChoices
    from penult.dataset_types import SplitName
    from penult.sources import ImagesLike


class Index(IndexItems):
    """An index. Its fields stay as they were; `refresh` gives new ones. Methods raise PenultError."""

    @classmethod
    def of(cls, link: Link, message: resource_pb.Index) -> Index:
        """From a message of the server."""
        index = cls(**index_fields(message))
        object.__setattr__(index, "_link", link)
        return index

    def refresh(self, *, timeout: float | None = None) -> Index:
        """The index as it is now."""
        request = pb.GetIndexRequest(name=self.name)
        return Index.of(self._link, self._link.call(self._stub.GetIndex, request, timeout).index)

    def search(
        self,
        images: ImagesLike | None = None,
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
        """The nearest items, best first, equal scores by id: a list of Hit, or one such list a query.

        Args:
            images: one image gives one list of hits; several, a folder or a pattern a list for each.
            vector: instead of an image: (dim,) gives one list, (Q, dim) or a FeatureBatch a list for each.
            id: instead of an image: of an item, which is not among its own hits; or several ids.
            k: hits, up to 10,000.
            filter: only items whose metadata matches, such as 'price < 20'; docs/indexes.md has the grammar.
            min_score: the least score of a hit; for metric "l2" the largest distance.
            exclude: ids that are no hits.
            with_vectors: fills `Hit.vector`.
            tta: views of the query images, other than those that the features of the index have.
            fingerprint: of `vector`, where the index has one; a FeatureBatch brings its own.
            timeout: seconds for the call, or for each answer where there are many.

        Raises:
            ItemFailed: an image cannot be used, or an id or a vector is none.
        """
        search = Search(
            self.name, images, vector, id, k=k, filter=filter, min_score=min_score, exclude=exclude,
            with_vectors=with_vectors, tta=tta, fingerprint=fingerprint,
        )  # fmt: skip
        requests = search.requests()
        first = next(requests, None)
        if first is None:
            return []
        second = next(requests, None)
        if second is None:
            response = self._link.call(self._stub.Search, first[0], timeout)
            results = found(response, first[1], 0)
            return only(results) if search.single else results
        return list(self._streamed([first, second], requests, timeout))

    def search_iter(
        self,
        images: ImagesLike | None = None,
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
    ) -> Iterator[list[Hit]]:
        """Like `search`, but yields the hits of each query in order: for any number of queries."""
        search = Search(
            self.name, images, vectors, None if ids is None else list(ids), k=k, filter=filter,
            min_score=min_score, exclude=exclude, with_vectors=with_vectors, tta=tta, fingerprint=fingerprint,
        )  # fmt: skip
        return self._streamed([], search.requests(), timeout)

    def evaluate(self, k: int = 10, *, sample: int = 1000, timeout: float | None = None) -> IndexEvaluation:
        """Recall@k against exact search, and precision and mean average precision where items carry labels.

        Up to `sample` of its own items are the queries; each leaves itself out.
        """
        request = pb.EvaluateIndexRequest(index=self.name, k=k, sample=sample)
        return index_evaluation(self._link.call(self._stub.EvaluateIndex, request, timeout).evaluation)

    def optimize(self, *, timeout: float | None = None) -> Job[IndexInfo]:
        """Starts a job that puts all items into the structure that fits best, and reclaims space.

        The server does so by itself when it is worth its while. The job's result is an IndexInfo.
        """
        request = pb.OptimizeIndexRequest(index=self.name, request_id=new_request_id())
        return self._job(self._stub.OptimizeIndex, request, timeout)

    def add_dataset(
        self,
        dataset: str,
        *,
        split: SplitName | Iterable[SplitName] | None = None,
        timeout: float | None = None,
    ) -> Job[IndexInfo]:
        """Starts a job that adds the images of a dataset with their labels, or of some of its splits.

        An item gets the id of its example where no other one has it, else the sha256 of the image.
        The job's result is an IndexInfo.
        """
        return self._job(self._stub.AddDataset, add_dataset_request(self.name, dataset, split), timeout)

    def reembed(
        self,
        new_name: str,
        backbone: str | None = None,
        *,
        alias: str = "",
        timeout: float | None = None,
        **choices: Unpack[FeatureChoices],
    ) -> Job[IndexInfo]:
        """Starts a job that makes a new index of the same images for other features.

        Args:
            new_name: of the new index.
            backbone: whose features it holds; None is the server's default.
            alias: points to the new index once that is complete.
            timeout: seconds for the call that starts the job.
            choices: `tta`, `l2`, `dtype`, `layer`, `pooling`, as in `Client.extract`.

        What is written to the old index meanwhile is in the new one too. The job's result is an IndexInfo.
        """
        request = reembed_request(self.name, new_name, backbone, alias, choices)
        return self._job(self._stub.ReembedIndex, request, timeout)

    def near_duplicates(
        self, threshold: float = 0.95, *, timeout: float | None = None
    ) -> Job[NearDuplicates]:
        """Starts a job that groups items with the same picture, or with a cosine of at least `threshold`.

        The job's result is a NearDuplicates.
        """
        request = pb.FindNearDuplicatesRequest(
            index=self.name, threshold=threshold, request_id=new_request_id()
        )
        return self._job(self._stub.FindNearDuplicates, request, timeout)

    def stats(self, *, timeout: float | None = None) -> IndexStats:
        """Counts, memory, the structure at work and why, measured recall, latency."""
        request = pb.GetIndexStatsRequest(index=self.name)
        return index_stats(self._link.call(self._stub.GetIndexStats, request, timeout).stats)

    def _job(self, method: Any, request: Any, timeout: float | None) -> Job[Any]:
        return Job.of(self._link, self._link.call(method, request, timeout).job)

    def _streamed(
        self,
        head: list[tuple[pb.SearchRequest, Chunk | None]],
        rest: Iterator[tuple[pb.SearchRequest, Chunk | None]],
        timeout: float | None,
    ) -> Generator[list[Hit], None, None]:
        sent: deque[Chunk | None] = deque()

        def requests() -> Iterator[pb.SearchStreamRequest]:
            for pairs in (head, rest):
                for request, chunk in pairs:
                    sent.append(chunk)
                    yield pb.SearchStreamRequest(request=request)

        first = 0
        answers = exchange(self._stub.SearchStream, requests(), self._link.endpoint, timeout)
        with contextlib.closing(answers):
            for answer in answers:
                results = found(answer.response, sent.popleft(), first)
                first += len(results)
                yield from results
