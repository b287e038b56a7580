"""The job that groups items which show the same: the same file, or neighbours above a cosine."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_jobs import Paced, no_input, when_ready
from penult_server.core.index_kinds import NO_KEY
from penult_server.core.indexes import Item
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes

KIND = "find_near_duplicates"
DEFAULT_THRESHOLD = 0.95
MAX_GROUPS = 500
MAX_SHOWN = 50
_NEIGHBOURS = 32
_PAGE = 256


class Unions:
    """Disjoint sets of keys (Galler and Fischer 1964), with path halving."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, key: int) -> int:
        """The key that stands for its set."""
        parent = self._parent
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = parent[above]
            key = parent[key]
        return key

    def join(self, a: int, b: int) -> None:
        """Puts the sets of both together; the smaller key stands for it."""
        a, b = self.find(a), self.find(b)
        self._parent[max(a, b)] = min(a, b)

    def sets(self) -> list[list[int]]:
        """Those of two keys or more, each sorted."""
        found = defaultdict(list)
        for key in sorted(self._parent):
            found[self.find(key)].append(key)
        return [keys for keys in found.values() if len(keys) > 1]


@dataclasses.dataclass(slots=True)
class _Found:
    """What is known so far. `cosine`: largest of each key to another one above the threshold."""

    unions: Unions
    items: dict[int, Item]
    by_picture: dict[str, int]
    cosine: dict[int, float]


class FindNearDuplicates:
    """See the module's first line."""

    def __init__(self, indexes: OpenIndexes, jobs: ManageJobs) -> None:
        """`indexes` are those at work."""
        self._indexes = indexes
        self._jobs = jobs

    async def start(self, name: str, threshold: float, request_id: str) -> Job:
        """Queues it; a threshold of 0 stands for the default. Raises NotFound, InvalidArgument."""
        threshold = threshold or DEFAULT_THRESHOLD
        if not 0 < threshold <= 1:
            raise InvalidArgument(
                "THRESHOLD_INVALID",
                f"threshold is {threshold}; a cosine in (0, 1] is taken",
                field="threshold",
            )
        index = self._indexes.find(name)
        parameters = {"threshold": threshold}
        return await self._jobs.submit(NewJob(KIND, index.name, parameters, no_input, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> Mapping[str, Any]:
        """See core.job_ports.Stage."""
        index = await when_ready(self._indexes.find(job.subject))
        threshold = float(job.parameters["threshold"])
        sequence = index.vectors.sequence
        found = _Found(Unions(), {}, {}, {})
        paced = Paced(report, index.vectors.count, "items", "compare")
        after, done = 0, 0
        while items := await asyncio.to_thread(index.stores.items.page, index.id, None, after, _PAGE):
            await asyncio.to_thread(_compare, index, items, threshold, found)
            after, done = items[-1].key, done + len(items)
            await paced.at(done)
        groups = sorted(_groups(found), key=lambda group: (not group["exact"], -group["count"]))
        return {
            "near_duplicates": {
                "index": index.name,
                "sequence": sequence,
                "threshold": threshold,
                "item_count": done,
                "group_count": len(groups),
                "redundant_count": sum(group["count"] - 1 for group in groups),
                "groups": groups[:MAX_GROUPS],
            }
        }


def _compare(index: OpenIndex, items: Sequence[Item], threshold: float, found: _Found) -> None:
    """Joins some items with the same pictures and with their near neighbours."""
    store = index.stores.items
    vectors = store.vectors([item.key for item in items])
    items = [item for item in items if item.key in vectors]
    for item in items:
        found.items[item.key] = item
        if item.image_sha256:
            first = found.by_picture.setdefault(item.image_sha256, item.key)
            if first != item.key:
                _join(found, first, item.key, 1.0)
    if not items:
        return
    queries = np.stack([vectors[item.key] for item in items])
    exact_metric = index.maker.spec.metric == "cosine" and not index.maker.spec.steps
    keys, scores = index.vectors.search(
        queries,
        _NEIGHBOURS,
        exclude=[[item.key] for item in items],
        min_score=threshold if exact_metric else None,
    )
    if not exact_metric:
        scores = _cosines(index, queries, keys, vectors)
    for row, item in enumerate(items):
        for key, cosine in zip(keys[row].tolist(), scores[row].tolist(), strict=True):
            if key != NO_KEY and cosine >= threshold:
                _join(found, item.key, key, cosine)


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


def _join(found: _Found, a: int, b: int, cosine: float) -> None:
    found.unions.join(a, b)
    for key in (a, b):
        found.cosine[key] = max(cosine, found.cosine.get(key, -1.0))


def _groups(found: _Found) -> Iterator[dict[str, Any]]:
    for keys in found.unions.sets():
        # An item that came meanwhile was seen as a neighbour only.
        items = [found.items[key] for key in keys if key in found.items]
        if len(items) < 2:
            continue
        pictures = {item.image_sha256 for item in items}
        yield {
            "items": [
                {
                    "id": item.id,
                    "image_sha256": item.image_sha256,
                    "metadata_json": item.metadata_json,
                    "cosine": min(1.0, found.cosine.get(item.key, 0.0)),
                }
                for item in items[:MAX_SHOWN]
            ],
            "count": len(items),
            "exact": len(pictures) == 1 and "" not in pictures,
        }
