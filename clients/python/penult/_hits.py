"""Answers to searches as hits."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from penult._tensors import tensor_array
from penult.errors import Internal
from penult.index_types import Hit
from penult.v1 import index_pb2 as pb

_FIELDS = ("id", "score", "metadata", "vector")
_SET = [getattr(Hit, name).__set__ for name in _FIELDS]


def hits(response: pb.SearchResponse) -> list[list[Hit]]:
    """The hits of each query. Raises Internal for an answer that contradicts itself."""
    if not response.HasField("columns"):  # of a server that knows no columns
        return list(map(_hits_of_one, response.results))
    columns = response.columns
    ids = list(columns.ids)
    scores = tensor_array(columns.scores).tolist()
    try:
        metadata = json.loads(columns.metadata_json) if columns.metadata_json else [{} for _ in ids]
    except ValueError:
        metadata = []
    vectors: Any = tensor_array(columns.vectors) if columns.HasField("vectors") else [None] * len(ids)
    sizes = {len(ids), len(scores), len(metadata), len(vectors), sum(columns.counts)}
    if len(sizes) > 1:
        raise Internal("the server sent columns of different lengths", reason="BAD_COLUMNS")
    return list(_split(_made(ids, scores, metadata, vectors), columns.counts))


def _made(*columns: Sequence[Any]) -> list[Hit]:
    """Hits of a value for each field. The usual way of a frozen class takes twice as long."""
    made = list(map(Hit.__new__, repeat(Hit, len(columns[0]))))
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
