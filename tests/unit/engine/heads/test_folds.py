"""Folds and subsets: stratified, the same every time, nobody twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penult_server.engine.heads.folds import fold_of, nested_subsets, strata

targets_of = st.lists(st.integers(0, 5), min_size=2, max_size=120).map(np.array)


@given(targets_of, st.integers(2, 8), st.integers(0, 9))
def test_folds_are_even_in_size_and_in_every_class(targets: np.ndarray, folds: int, seed: int) -> None:
    fold = fold_of(targets, folds, seed)
    np.testing.assert_array_equal(fold, fold_of(targets, folds, seed))
    for group in (np.ones(len(targets), bool), *(targets == label for label in np.unique(targets))):
        sizes = np.bincount(fold[group], minlength=folds)
        assert len(sizes) == folds
        assert sizes.max() - sizes.min() <= 1


def test_another_seed_deals_anew() -> None:
    targets = np.zeros(100, np.int64)
    assert not np.array_equal(fold_of(targets, 5, 0), fold_of(targets, 5, 1))


@given(targets_of, st.lists(st.floats(0.05, 1), min_size=1, max_size=4))
def test_subsets_grow_and_keep_the_shares(targets: np.ndarray, shares: list[float]) -> None:
    sizes = sorted(int(share * len(targets)) for share in shares)
    before: set[int] = set()
    for size, subset in zip(sizes, nested_subsets(targets, sizes, 0), strict=True):
        assert len(set(subset.tolist())) == len(subset) == size
        assert before <= set(subset.tolist())
        before = set(subset.tolist())
        for label in np.unique(targets):
            part = (targets[subset] == label).sum()
            assert abs(part - (targets == label).mean() * size) <= 3


def test_an_image_of_several_labels_counts_for_its_rarest() -> None:
    targets = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0]], bool)
    assert strata(targets).tolist() == [2, 0, 1]
