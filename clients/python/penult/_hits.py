"""Answers to searches as hits."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from penult._tensors import tensor_array
from penult.index_types import Hit
from penult.v1 import index_pb2 as pb

_FIELDS = ("id", "score", "metadata", "vector")
_SET = [getattr(Hit, name).__set__ for name in _FIELDS]


def hits(response: pb.SearchResponse) -> list[list[Hit]]:
    """The hits of each query."""
    if not response.HasField("columns"):  # of a server that knows no columns
        return list(map(_hits_of_one, response.results))
    columns = response.columns
    ids = list(columns.ids)
    count = len(ids)
    metadata = json.loads(columns.metadata_json) if columns.metadata_json else ({} for _ in range(count))
    vectors = tensor_array(columns.vectors) if columns.HasField("vectors") else repeat(None, count)
    every = _made(count, ids, tensor_array(columns.scores).tolist(), metadata, vectors)
    return list(_split(every, columns.counts))


def _made(count: int, *columns: Iterable[Any]) -> list[Hit]:
    """Hits of a value for each field and hit. The usual way of a frozen class takes three times as long."""
    made = list(map(Hit.__new__, repeat(Hit, count)))
    for put, values in zip(_SET, columns, strict=True):
        deque(map(put, made, values), maxlen=0)
    return made


def _split(every: list[Hit], counts: Iterable[int]) -> Iterator[list[Hit]]:
    first = 0
    for count in counts:
        yield every[first : first + count]
        first += count


def _hits_of_one(message: pb.Hits) -> list[Hit]:
    rows: Any = tensor_array(message.vectors) if message.HasField("vectors") else repeat(None)
    return [
        Hit(hit.id, hit.score, json.loads(hit.metadata_json) if hit.metadata_json else {}, row)
        for hit, row in zip(message.hits, rows, strict=False)
    ]
