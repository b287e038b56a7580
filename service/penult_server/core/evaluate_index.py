"""Use case: how well an index finds, against exact search and by labels."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import random
from collections.abc import Mapping, Sequence

import numpy as np

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.index_kinds import NO_KEY
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.rankings import rank_quality

DEFAULT_K, MAX_K = 10, 1000
DEFAULT_SAMPLE, MAX_SAMPLE = 1000, 10_000
_ROWS = 256


@dataclasses.dataclass(frozen=True, slots=True)
class IndexEvaluation:
    """What was measured; the figures by label are 0 where no query has a label that another item has.

    `mean_average_precision` averages precision at each relevant hit over min(k, relevant items).
    """

    k: int
    queries: int
    recall: float
    labelled_queries: int = 0
    precision: float = 0.0
    mean_average_precision: float = 0.0
    label_recall: float = 0.0
    top_1: float = 0.0


class EvaluateIndex:
    """See the module's first line."""

    def __init__(self, indexes: OpenIndexes) -> None:
        """`indexes` are those at work."""
        self._indexes = indexes
        self._one_at_a_time = asyncio.Semaphore(1)

    async def run(self, name: str, k: int, sample: int) -> IndexEvaluation:
        """Measures with up to `sample` of its own items as queries; 0 takes the default.

        Raises:
            NotFound: there is no such index.
            InvalidArgument: k or sample out of range.
            FailedPrecondition: fewer than two items.
            Unavailable: it is loading.
        """
        k, sample = k or DEFAULT_K, sample or DEFAULT_SAMPLE
        for value, most, field in ((k, MAX_K, "k"), (sample, MAX_SAMPLE, "sample")):
            if not 1 <= value <= most:
                raise InvalidArgument(
                    f"{field.upper()}_INVALID", f"{field} is {value}; it must be 1 to {most}", field=field
                )
        index = self._indexes.find(name)
        if index.vectors.count < 2:
            raise FailedPrecondition(
                "INDEX_EMPTY",
                "an index with fewer than two items has nothing to find",
                hint="add items first",
            )
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._measure, index, k, sample)

    def _measure(self, index: OpenIndex, k: int, sample: int) -> IndexEvaluation:
        recall = index.vectors.recall(k, sample, lambda share, words: None)
        labels = index.stores.items.labels(index.id, index.maker.label_field)
        totals = collections.Counter(labels.values())
        findable = sorted(key for key, label in labels.items() if totals[label] > 1)
        chosen = sorted(random.Random(0).sample(findable, min(sample, len(findable))))
        hits = _relevant(index, chosen, k, labels)
        measured = IndexEvaluation(k, min(sample, index.vectors.count), recall)
        if not hits:
            return measured
        ranking = rank_quality(np.asarray(list(hits.values())), [totals[labels[key]] - 1 for key in hits])
        return dataclasses.replace(
            measured,
            labelled_queries=ranking.queries,
            precision=ranking.precision,
            mean_average_precision=ranking.mean_average_precision,
            label_recall=ranking.recall,
            top_1=ranking.top_1,
        )


def _relevant(
    index: OpenIndex, chosen: Sequence[int], k: int, labels: Mapping[int, str]
) -> dict[int, list[bool]]:
    """For each of the items as a query, whether each hit has its label; False where there is no hit."""
    found = {}
    for start in range(0, len(chosen), _ROWS):
        rows = index.stores.items.vectors(chosen[start : start + _ROWS])  # without those removed meanwhile
        if not rows:
            continue
        keys, _ = index.vectors.search(np.stack(list(rows.values())), k, exclude=[[key] for key in rows])
        for key, hits in zip(rows, keys.tolist(), strict=True):
            found[key] = [hit != NO_KEY and labels.get(hit) == labels[key] for hit in hits]
    return found
