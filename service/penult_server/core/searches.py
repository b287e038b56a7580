"""What can be searched for in an index, and what is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from penult_server.core.errors import InvalidArgument
from penult_server.core.images import ItemError, SourceImage
from penult_server.core.index_kinds import MAX_K, MAX_QUERIES
from penult_server.core.preprocess import TestTimeAugmentation

DEFAULT_K = 10
MAX_HITS = 200_000
"""Most hits, and MAX_EXCLUDED ids to leave out, of one call."""
MAX_EXCLUDED = 10_000


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SearchRequest:
    """What is looked for: queries of one kind. `min_score` is the largest distance where the metric is l2.

    `fingerprint` is that of `vectors`. `query_tta`: views of query images, None for those of the index.
    """

    index: str
    images: Sequence[SourceImage] = ()
    ids: Sequence[str] = ()
    vectors: np.ndarray | None = None
    fingerprint: str = ""
    k: int = DEFAULT_K
    filter: str = ""
    min_score: float | None = None
    exclude: Sequence[str] = ()
    with_vectors: bool = False
    query_tta: TestTimeAugmentation | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SearchAnswer:
    """Hits of all queries in columns, one query after the other, each best first, equal scores by id.

    `counts` are the hits of each query, int64 (Q,), 0 for one with an error. `scores` is float32 (N,);
    `vectors`, where they were asked for, float32 (N, dim).
    """

    counts: np.ndarray
    ids: Sequence[str]
    scores: np.ndarray
    metadata_json: Sequence[str]
    errors: Sequence[ItemError]
    vectors: np.ndarray | None = None

    def spans(self) -> Iterator[slice]:
        """Where the hits of each query are."""
        ends = np.cumsum(self.counts).tolist()
        return map(slice, [0, *ends], ends)


def check_search(request: SearchRequest) -> int:
    """The number of queries. Raises InvalidArgument."""
    kinds = [len(request.images), len(request.ids), 0 if request.vectors is None else len(request.vectors)]
    count = sum(kinds)
    if not count:
        raise InvalidArgument("NO_QUERIES", "the request holds no query", field="images")
    if max(kinds) != count:
        raise InvalidArgument(
            "QUERIES_MIXED", "queries are all images, all ids or all vectors", hint="send one call for each"
        )
    if count > MAX_QUERIES:
        raise InvalidArgument(
            "TOO_MANY_QUERIES",
            f"{count} queries in one call; at most {MAX_QUERIES} are taken",
            field="vectors",
        )
    if not 1 <= request.k <= MAX_K:
        raise InvalidArgument("K_INVALID", f"k is {request.k}; it must be 1 to {MAX_K}", field="k")
    if count * request.k > MAX_HITS:
        raise InvalidArgument(
            "TOO_MANY_HITS",
            f"{count} queries with k {request.k} are more than {MAX_HITS} hits",
            field="k",
            hint="send fewer queries in one call",
        )
    if len(request.exclude) > MAX_EXCLUDED:
        raise InvalidArgument(
            "TOO_MANY_EXCLUDED", f"at most {MAX_EXCLUDED} ids can be left out", field="exclude_ids"
        )
    if request.min_score is not None and not np.isfinite(request.min_score):
        raise InvalidArgument("MIN_SCORE_INVALID", "min_score must be a number", field="min_score")
    return count
