from __future__ import annotations

import numpy as np

from penult_server.core.index_kinds import IndexSpec, KeySet, faults

GOOD = np.ones((1, 4), np.float32)


def test_faults_are_named_by_position() -> None:
    vectors = np.vstack([GOOD, GOOD * np.nan, GOOD * 0, GOOD, GOOD * np.inf])
    found = faults(vectors, IndexSpec(4))
    assert [(row, reason) for row, reason, _ in found] == [
        (1, "VECTOR_NOT_FINITE"),
        (2, "VECTOR_ZERO"),
        (4, "VECTOR_NOT_FINITE"),
    ]


def test_zeros_have_a_place_where_direction_does_not_matter() -> None:
    assert faults(GOOD * 0, IndexSpec(4, "l2")) == []
    assert faults(GOOD * 0, IndexSpec(4, "inner_product")) == []


def test_what_overflows_float32_is_not_finite() -> None:
    assert faults(np.full((1, 4), 1e300), IndexSpec(4))[0][1] == "VECTOR_NOT_FINITE"


def test_another_dimension_is_a_fault_of_every_vector() -> None:
    assert [reason for _, reason, _ in faults(np.ones((2, 3)), IndexSpec(4))] == ["DIMENSION_MISMATCH"] * 2


def test_no_vectors_have_no_faults() -> None:
    assert faults(np.empty((0, 4), np.float32), IndexSpec(4)) == []


def test_a_key_set_is_sorted_and_each_key_once() -> None:
    keys = KeySet.of([3, 1, 3])
    assert keys.keys.tolist() == [1, 3]
    assert len(keys) == 2
