from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.finetune import Division, contradictions, divide, epoch_order, propose_rate
from penult_server.core.snapshot import Snapshot, SnapshotExample
from penult_server.core.trainable import trainable


def example(number: int, label: str, split: Split) -> SnapshotExample:
    return SnapshotExample(f"{number:064x}", (label,) if label else (), split, f"{number}")


def divided(examples: list[SnapshotExample], unusable: tuple[int, ...] = (), multi: bool = False) -> Division:
    snapshot = Snapshot("d", 1, len(examples), multi)
    return divide(snapshot, examples, unusable, validation_share=0.2, seed=0)


def test_examples_go_where_their_split_says() -> None:
    splits = [Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST]
    examples = [example(n, "ab"[n % 2], splits[n // 2]) for n in range(8)] + [example(8, "", Split.TRAIN)]
    parts = divided(examples, unusable=(1,))
    assert parts.labels == ("a", "b")
    assert parts.train.tolist() == [0, 2, 3]
    assert parts.validation.tolist() == [4, 5]
    assert parts.test.tolist() == [6, 7]
    assert parts.targets[parts.test].tolist() == [0, 1]
    assert parts.remedies == ()


def test_examples_in_no_split_train_where_none_is_in_train_as_for_heads() -> None:
    splits = [Split.UNASSIGNED, Split.UNASSIGNED, Split.VALIDATION]
    examples = [example(n, "ab"[n % 2], splits[n // 2]) for n in range(6)]
    assert divided(examples).train.tolist() == [0, 1, 2, 3]
    more = [*examples, example(6, "a", Split.TRAIN), example(7, "b", Split.TRAIN)]
    parts = divided(more)
    assert parts.train.tolist() == [6, 7]
    assert parts.targets[:4].tolist() == [-1] * 4
    assert parts.remedies == ("4 images are in no split and were left out",)
    assert [e.sha256 for e in trainable(more).examples] == [e.sha256 for e in more[4:]]


def test_without_validation_images_some_of_each_class_judge_and_it_is_said() -> None:
    examples = [example(n, "ab"[n % 2], Split.TRAIN) for n in range(40)]
    parts = divided(examples)
    assert set(parts.targets[parts.validation].tolist()) == {0, 1}
    assert 4 <= len(parts.validation) <= 12
    assert not set(parts.train.tolist()) & set(parts.validation.tolist())
    assert "no validation images" in parts.remedies[0]
    assert divided(examples).validation.tolist() == parts.validation.tolist()


def test_labels_that_nothing_trains_are_left_out_and_it_is_said() -> None:
    examples = [example(n, "ab"[n % 2], Split.TRAIN) for n in range(4)]
    examples += [example(4, "a", Split.VALIDATION), example(5, "c", Split.VALIDATION)]
    parts = divided(examples)
    assert parts.validation.tolist() == [4]
    assert "1 images have labels that no training image has" in parts.remedies[0]


@pytest.mark.parametrize(
    ("examples", "multi", "reason"),
    [
        ([example(n, "a", Split.TRAIN) for n in range(9)], False, "ONE_CLASS"),
        ([example(n, "", Split.TRAIN) for n in range(9)], False, "NO_LABELS"),
        ([example(n, "a", Split.TEST) for n in range(9)], False, "NO_TRAINING_EXAMPLES"),
        ([example(n, "ab"[n], Split.TRAIN) for n in range(2)], False, "NO_VALIDATION_IMAGES"),
        ([example(n, "ab"[n], Split.TRAIN) for n in range(2)], True, "MULTI_LABEL_UNSUPPORTED"),
    ],
)
def test_data_that_cannot_train_is_refused(examples: list[SnapshotExample], multi: bool, reason: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        divided(examples, multi=multi)
    assert refused.value.reason == reason
    assert refused.value.hint


@given(st.integers(1, 60), st.integers(0, 100), st.integers(0, 5))
def test_every_epoch_shows_every_picture_once_in_an_order_of_its_own(
    count: int, seed: int, epoch: int
) -> None:
    targets = np.arange(count) % 3
    order = epoch_order(targets, seed, epoch, balanced=False)
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() == epoch_order(targets, seed, epoch, balanced=False).tolist()


def test_balanced_order_draws_rare_classes_as_often() -> None:
    targets = np.array([0] * 900 + [1] * 100)
    drawn = targets[epoch_order(targets, 0, 0, balanced=True, size=10_000)]
    assert abs(drawn.mean() - 0.5) < 0.03


def test_a_placeholder_under_several_labels_is_found() -> None:
    digests = ["x", "y", "x", None, "x", "y", None]
    labels = [("a",), ("a",), ("b",), ("a",), (), ("a",), ("b",)]
    assert contradictions(digests, labels) == [[0, 2]]


def test_the_range_test_proposes_a_rate_below_the_best_one() -> None:
    rates = list(np.geomspace(1e-6, 1, 100))
    losses = [
        2.0 - 1.5 / (1 + (1e-2 / rate) ** 2) if rate < 0.1 else 2.0 * (rate / 0.1) ** 2 for rate in rates
    ]
    proposed = propose_rate(rates, losses)
    assert proposed is not None
    assert 1e-3 < proposed < 2e-2


@pytest.mark.parametrize("losses", [[2.0] * 50, [float("nan")] * 50, list(np.linspace(2, 4, 50)), [1.0]])
def test_where_the_loss_never_falls_there_is_no_proposal(losses: list[float]) -> None:
    assert propose_rate(list(np.geomspace(1e-6, 1, len(losses))), losses) is None


def test_a_proposal_ends_before_the_first_loss_that_is_not_finite() -> None:
    losses = [*np.linspace(2, 1, 30), float("inf"), 0.1, 0.1]
    rates = list(np.geomspace(1e-5, 1, len(losses)))
    assert propose_rate(rates, losses) == pytest.approx(rates[29] / 10)
