"""Fine-tuning without any network: its words, and what is decided from numbers alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from penult_server.core.datasets import Split
from penult_server.core.errors import FailedPrecondition
from penult_server.core.snapshot import Snapshot, SnapshotExample
from penult_server.core.splits import Member, SplitPlan, assign
from penult_server.core.trainable import trainable

KIND = "finetune"
TRAINING = "training"
"""The folder of a job's directory in which it trains; that of a search holds what all its trials share."""
CURVES = "curves.jsonl"

Start = Literal["pretrained", "random"]
BatchNorm = Literal["auto", "frozen", "update"]
Augmentation = Literal["none", "flip", "crop", "randaugment", "trivialaugment"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

SMALL_SET = 2000
"""Training images below which the statistics of batch norm stay those of pre-training."""


@dataclasses.dataclass(frozen=True, slots=True)
class Division:
    """Who trains, who judges: positions in the snapshot's list of examples.

    `targets` holds the class of each example as a position in `labels`, -1 for examples in no part;
    `ids` its sha256.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    targets: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    remedies: tuple[str, ...] = ()


def divide(
    snapshot: Snapshot,
    examples: Sequence[SnapshotExample],
    unusable: Iterable[int],
    *,
    validation_share: float,
    seed: int,
) -> Division:
    """Sorts the usable examples into classes and parts; those without a label belong to none.

    Examples in no split train only where none is in split train, as for heads (core.trainable). Where no
    validation examples are, a share of the training examples of each class judges instead. Both are remedies
    that the division records.

    Raises:
        FailedPrecondition: MULTI_LABEL_UNSUPPORTED, NO_LABELS, NO_TRAINING_EXAMPLES, ONE_CLASS or
            NO_VALIDATION_IMAGES.
    """
    if snapshot.multi_label:
        raise FailedPrecondition(
            "MULTI_LABEL_UNSUPPORTED",
            f"dataset {snapshot.dataset!r} has several labels an image; fine-tuning takes one",
            hint="train a head on it",
        )
    left_out = set(unusable)
    usable = [n for n, example in enumerate(examples) if example.labels and n not in left_out]
    remedies = [*trainable(examples[n] for n in usable).warnings]
    in_training = [n for n in usable if examples[n].split is Split.TRAIN]
    if in_training:
        usable = [n for n in usable if examples[n].split is not Split.UNASSIGNED]
    else:
        in_training = [n for n in usable if examples[n].split is Split.UNASSIGNED]
    labels = tuple(sorted({examples[n].labels[0] for n in in_training}))
    position = {label: n for n, label in enumerate(labels)}
    targets = np.full(len(examples), -1, np.int64)
    unseen = [n for n in usable if examples[n].labels[0] not in position]
    if unseen:
        remedies.append(f"{len(unseen)} images have labels that no training image has, and are left out")
    for n in usable:
        targets[n] = position.get(examples[n].labels[0], -1)
    known = [n for n in usable if targets[n] >= 0]
    validation = [n for n in known if examples[n].split is Split.VALIDATION]
    if not validation:
        validation = _held_out(examples, in_training, validation_share, seed)
        if not validation:
            raise FailedPrecondition(
                "NO_VALIDATION_IMAGES",
                f"dataset {snapshot.dataset!r} has no validation images, and too few to hold some out",
                hint="add images, at least two of each class, and split the dataset",
            )
        remedies.append(
            f"the dataset has no validation images: {len(validation)} training images judge instead"
        )
        in_training = sorted(set(in_training).difference(validation))
    return Division(
        labels,
        tuple(example.sha256 for example in examples),
        targets,
        np.array(in_training, np.int64),
        np.array(validation, np.int64),
        np.array([n for n in known if examples[n].split is Split.TEST], np.int64),
        tuple(remedies),
    )


def _held_out(
    examples: Sequence[SnapshotExample], candidates: Sequence[int], share: float, seed: int
) -> list[int]:
    """A share of each class, the same for the same seed; no class loses its last training image."""
    members = [Member(n, examples[n].sha256, Split.UNASSIGNED, examples[n].labels) for n in candidates]
    plan = SplitPlan({Split.TRAIN: 1 - share, Split.VALIDATION: share}, seed=seed)
    chosen = assign(members, plan)
    return sorted(n for n, split in chosen.items() if split is Split.VALIDATION)


def epoch_order(targets: np.ndarray, seed: int, epoch: int, *, balanced: bool, size: int = 0) -> np.ndarray:
    """Positions 0..n-1 of the training images in the order of one epoch: a pure function of seed and epoch.

    Args:
        targets: int (n,), the class of each training image.
        seed: of the run.
        epoch: counted from 0.
        balanced: draw with replacement so that every class is as likely as every other.
        size: images in an epoch; 0 means n.

    Returns:
        int64 (size,). Without `balanced`, every image comes once before any comes again.
    """
    random = np.random.default_rng([seed, epoch])
    count = len(targets)
    size = size or count
    if balanced:
        weights = 1.0 / np.bincount(targets)[targets]
        return random.choice(count, size, p=weights / weights.sum())
    return np.concatenate([random.permutation(count) for _ in range(-(-size // count))])[:size]


def contradictions(digests: Sequence[str | None], labels: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Groups of positions whose pictures are the same and whose labels differ, such as a placeholder.

    Args:
        digests: of the pixels of each picture; None where it cannot be decoded.
        labels: of the same examples.
    """
    groups: dict[str, list[int]] = {}
    for position, digest in enumerate(digests):
        if digest is not None and labels[position]:
            groups.setdefault(digest, []).append(position)
    return [group for group in groups.values() if len({labels[n] for n in group}) > 1]


def propose_rate(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The learning rate that a range test speaks for (Smith 2017, arXiv:1506.01186).

    A tenth of the rate at which the smoothed loss is lowest: there it still falls quickly, with a margin
    to where it diverges.

    Args:
        rates: rising, one a step.
        losses: the loss of each step, before its update; may end with values that are not finite.

    Returns:
        The rate; None where the loss never falls by 2 %.
    """
    values = np.asarray(losses, float)
    finite = np.isfinite(values)
    end = len(values) if finite.all() else int(np.argmin(finite))
    if end < 5:
        return None
    smooth = np.empty(end)
    average = 0.0
    for n in range(end):
        average = 0.8 * average + 0.2 * values[n]
        smooth[n] = average / (1 - 0.8 ** (n + 1))
    lowest = int(np.argmin(smooth))
    first = max(1, end // 10)
    if lowest < first or smooth[lowest] > 0.98 * smooth[:first].mean():
        return None
    return float(rates[lowest]) / 10
