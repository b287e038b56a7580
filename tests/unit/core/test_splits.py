"""Splits: in every class its share, the same every time, and nothing moves that need not."""

from __future__ import annotations

import collections
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.datasets import Split
from penult_server.core.errors import InvalidArgument
from penult_server.core.splits import ASSIGNED, DEFAULT_FRACTIONS, Member, SplitPlan, assign


def member(number: int, *labels: str, split: Split = Split.UNASSIGNED) -> Member:
    return Member(number, hashlib.sha256(str(number).encode()).hexdigest(), split, labels)


def after(members: list[Member], plan: SplitPlan) -> dict[int, Split]:
    changed = assign(members, plan)
    return {m.key: changed.get(m.key, m.split) for m in members}


def applied(members: list[Member], splits: dict[int, Split]) -> list[Member]:
    return [Member(m.key, m.sha256, splits[m.key], m.labels) for m in members]


plans = st.builds(
    lambda shares, seed: SplitPlan(
        dict(zip(ASSIGNED, (share / sum(shares) for share in shares), strict=True)), seed
    ),
    st.tuples(*[st.integers(0, 10)] * 3).filter(any),
    st.integers(0, 2**64 - 1),
)
datasets = st.lists(st.sampled_from("abcd"), max_size=120).map(
    lambda labels: [member(number, label) for number, label in enumerate(labels)]
)


@given(datasets, plans)
def test_every_class_has_its_shares_up_to_rounding(members: list[Member], plan: SplitPlan) -> None:
    splits = after(members, plan)
    for label in {m.labels[0] for m in members}:
        mine = [splits[m.key] for m in members if m.labels[0] == label]
        assert Split.UNASSIGNED not in mine
        for split in ASSIGNED:
            assert abs(mine.count(split) - plan.fractions[split] * len(mine)) < 1.5
            assert plan.fractions[split] or split not in mine


@given(datasets, plans, st.randoms(use_true_random=False), st.booleans())
def test_order_does_not_matter_and_a_repeat_changes_nothing(
    members: list[Member], plan: SplitPlan, order: random.Random, by_hash: bool
) -> None:
    plan = SplitPlan(plan.fractions, plan.seed, by_hash=by_hash)
    splits = after(members, plan)
    shuffled = order.sample(members, len(members))
    assert after(shuffled, plan) == splits
    done = applied(members, splits)
    assert assign(done, plan) == {}
    again = SplitPlan(plan.fractions, plan.seed, by_hash=by_hash, reassign=True)
    assert after(done, again) == splits


@given(datasets, plans, st.integers(0, 120))
def test_examples_that_are_added_move_none_and_keep_the_shares(
    members: list[Member], plan: SplitPlan, first: int
) -> None:
    old, new = members[:first], members[first:]
    splits = after(old, plan)
    later = after(applied(old, splits) + new, plan)
    assert {key: later[key] for key in splits} == splits
    for label in {m.labels[0] for m in members}:
        mine = [later[m.key] for m in members if m.labels[0] == label]
        for split in ASSIGNED:
            assert abs(mine.count(split) - plan.fractions[split] * len(mine)) < 1.5


@given(datasets, plans)
def test_by_hash_a_split_depends_on_the_picture_alone(members: list[Member], plan: SplitPlan) -> None:
    plan = SplitPlan(plan.fractions, plan.seed, by_hash=True)
    together = after(members, plan)
    assert together == {m.key: after([m], plan)[m.key] for m in members}


def test_by_hash_shares_hold_on_average() -> None:
    plan = SplitPlan(DEFAULT_FRACTIONS, by_hash=True)
    counts = collections.Counter(after([member(n) for n in range(10_000)], plan).values())
    assert counts[Split.TRAIN] == pytest.approx(8000, abs=200)
    assert counts[Split.TEST] == pytest.approx(1000, abs=150)


def test_another_seed_gives_another_split() -> None:
    members = [member(n, "a") for n in range(100)]
    one, other = (after(members, SplitPlan(DEFAULT_FRACTIONS, seed)) for seed in (0, 1))
    assert one != other
    assert collections.Counter(one.values()) == collections.Counter(other.values())


def test_small_class_is_served_train_then_test_then_validation() -> None:
    plan = SplitPlan(DEFAULT_FRACTIONS)
    counts = [
        collections.Counter(after([member(n, "a") for n in range(size)], plan).values()) for size in (1, 8)
    ]
    assert counts == [{Split.TRAIN: 1}, {Split.TRAIN: 6, Split.TEST: 1, Split.VALIDATION: 1}]


def test_multi_label_members_count_for_their_rarest_label() -> None:
    members = [member(n, "common", *(["rare"] if n < 10 else [])) for n in range(100)]
    splits = after(members, SplitPlan(DEFAULT_FRACTIONS))
    rare = collections.Counter(splits[n] for n in range(10))
    assert rare == {Split.TRAIN: 8, Split.TEST: 1, Split.VALIDATION: 1}


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5), (0, 0, 0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        SplitPlan(dict(zip(ASSIGNED, shares, strict=True)))
    assert (caught.value.reason, caught.value.field) == ("BAD_FRACTIONS", "fractions")
