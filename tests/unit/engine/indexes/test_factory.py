"""Factory strings are tried before they are believed, in a process of their own."""

from __future__ import annotations

import pytest

from penult_server.core.errors import InvalidArgument
from penult_server.core.index_kinds import IndexSpec
from penult_server.engine.indexes.engine import FaissEngine


def spec(factory: str) -> IndexSpec:
    return IndexSpec(24, kind="factory", parameters={"factory": factory})


@pytest.mark.parametrize(
    ("factory", "reason", "words"),
    [
        ("Nonsense7", "FACTORY_INVALID", "does not understand"),
        ("IVF16,PQ7", "FACTORY_INVALID", "24 dimensions"),
        ("IDMap,Flat", "FACTORY_UNSUPPORTED", "IDMap"),
        ("IVF16,SQ8,RFlat", "FACTORY_UNSUPPORTED", "refinement"),
    ],
)
def test_a_string_that_cannot_serve_is_refused_with_the_reason(factory: str, reason: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words) as caught:
        FaissEngine(threads=1).validate(spec(factory))
    assert caught.value.reason == reason
    assert caught.value.field == "parameters.factory"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (IndexSpec(0), "DIMENSION_INVALID"),
        (IndexSpec(4, "hamming"), "METRIC_UNKNOWN"),  # type: ignore[arg-type]
        (IndexSpec(4, kind="tree"), "INDEX_KIND_UNKNOWN"),
        (IndexSpec(4, kind="ivf", parameters={"nlist": -1}), "INDEX_PARAMETERS_INVALID"),
        (IndexSpec(4, kind="ivf", parameters={"nlist": 4, "nprobe": 5}), "INDEX_PARAMETERS_INVALID"),
        (IndexSpec(4, kind="ivf_pq", parameters={"parts": 3}), "INDEX_PARAMETERS_INVALID"),
        (IndexSpec(4, kind="flat", parameters={"colour": 1}), "INDEX_PARAMETERS_INVALID"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(wrong: IndexSpec, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        FaissEngine(threads=1).validate(wrong)
    assert caught.value.reason == reason
