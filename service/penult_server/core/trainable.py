"""Which examples of a snapshot a classifier learns from and is measured on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.snapshot import SnapshotExample


@dataclasses.dataclass(frozen=True, slots=True)
class Trainable:
    """The examples to use, in their order, and what is to be known of the others."""

    examples: list[SnapshotExample]
    warnings: tuple[str, ...]


def trainable(examples: Iterable[SnapshotExample]) -> Trainable:
    """The labelled examples; those in no split only where none is in split train.

    Raises:
        FailedPrecondition: NO_LABELS, NO_TRAINING_EXAMPLES, ONE_CLASS.
    """
    everything = list(examples)
    labelled = [example for example in everything if example.labels]
    if not labelled:
        raise FailedPrecondition(
            "NO_LABELS", f"none of the {len(everything)} images has a label", hint="label them"
        )
    train = [example for example in labelled if example.split is Split.TRAIN]
    chosen = [example for example in labelled if example.split is not Split.UNASSIGNED] if train else labelled
    train = train or [example for example in labelled if example.split is Split.UNASSIGNED]
    if not train:
        raise FailedPrecondition(
            "NO_TRAINING_EXAMPLES",
            "no labelled image is in split train",
            hint="split the dataset, or move images to train",
        )
    classes = {label for example in train for label in example.labels}
    if len(classes) < 2:
        raise FailedPrecondition(
            "ONE_CLASS",
            f"all {len(train)} training images are labelled {classes.pop()!r}",
            hint="a classifier needs images of two classes and more",
        )
    left_out = (
        (len(everything) - len(labelled), "have no label"),
        (len(labelled) - len(chosen), "are in no split"),
    )
    return Trainable(chosen, tuple(f"{n} images {why} and were left out" for n, why in left_out if n))
