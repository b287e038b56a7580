from __future__ import annotations

import pytest

from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.snapshot import SnapshotExample
from penult_server.core.trainable import trainable


def example(number: int, *labels: str, split: Split = Split.TRAIN) -> SnapshotExample:
    return SnapshotExample(f"{number:064x}", labels, split)


def test_what_is_used_and_what_is_left_out() -> None:
    every = [
        example(1, "a"), example(2, "b", split=Split.TEST), example(3), example(4, "b"),
        example(5, "a", split=Split.UNASSIGNED), example(6, "c", split=Split.VALIDATION),
    ]  # fmt: skip
    chosen = trainable(every)
    assert [int(each.sha256, 16) for each in chosen.examples] == [1, 2, 4, 6]
    assert chosen.warnings == (
        "1 images have no label and were left out",
        "1 images are in no split and were left out",
    )


def test_without_a_split_all_is_trained_on() -> None:
    chosen = trainable([example(n, "ab"[n % 2], split=Split.UNASSIGNED) for n in range(4)])
    assert len(chosen.examples) == 4
    assert chosen.warnings == ()


@pytest.mark.parametrize(
    ("examples", "reason"),
    [
        ([], "NO_LABELS"),
        ([example(1), example(2)], "NO_LABELS"),
        (
            [example(1, "a", split=Split.TEST), example(2, "b", split=Split.VALIDATION)],
            "NO_TRAINING_EXAMPLES",
        ),
        ([example(1, "a"), example(2, "a"), example(3, "b", split=Split.TEST)], "ONE_CLASS"),
    ],
)
def test_what_keeps_from_learning(examples: list[SnapshotExample], reason: str) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        trainable(examples)
    assert caught.value.reason == reason
    assert caught.value.hint
