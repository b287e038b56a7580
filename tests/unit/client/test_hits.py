from __future__ import annotations

import numpy as np
import pytest

from penult._hits import hits
from penult._tensors import tensor_message
from penult.errors import Internal
from penult.index_types import Hit
from penult.v1 import index_pb2 as pb

SCORES = np.asarray([0.5, 0.25, -1], np.float32)
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def columns(**fields: object) -> pb.SearchResponse:
    filled = {"counts": [2, 0, 1], "ids": ["a", "b", "c"], "scores": tensor_message(SCORES), **fields}
    return pb.SearchResponse(columns=pb.HitColumns(**filled))  # type: ignore[arg-type]


def test_columns_become_hits_of_each_query() -> None:
    found = hits(columns(metadata_json='[{"n":1},{},{"n":[2]}]', vectors=tensor_message(VECTORS)))
    assert found == [[Hit("a", 0.5, {"n": 1}), Hit("b", 0.25, {})], [], [Hit("c", -1.0, {"n": [2]})]]
    assert [hit.vector.tolist() for row in found for hit in row if hit.vector is not None] == VECTORS.tolist()
    assert isinstance(found[0][0].score, float)


def test_hits_without_metadata_share_nothing() -> None:
    first, second = hits(columns())[0]
    first.metadata["mine"] = 1
    assert second.metadata == {}
    assert second.vector is None


def test_columns_that_contradict_each_other_are_told() -> None:
    for wrong in ({"ids": ["a"]}, {"metadata_json": "[{}]"}, {"counts": [1]}, {"metadata_json": "["}):
        with pytest.raises(Internal) as caught:
            hits(columns(**wrong))
        assert caught.value.reason == "BAD_COLUMNS"


def test_a_server_without_columns_is_understood() -> None:
    one = pb.Hits(
        hits=[pb.Hit(id="a", score=0.5, metadata_json='{"n":1}'), pb.Hit(id="b", score=0.25)],
        vectors=tensor_message(VECTORS[:2]),
    )
    found = hits(pb.SearchResponse(results=[one, pb.Hits()]))
    assert found == [[Hit("a", 0.5, {"n": 1}), Hit("b", 0.25, {})], []]
    assert found[0][1].vector is not None
