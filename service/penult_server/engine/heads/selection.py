"""Which images are for what, and what keeps a head from being trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.engine.heads.data import UNLABELLED, TrainingData

_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Images of one split in the head's own classes: plain features float32 (N, dim), targets, ids."""

    features: np.ndarray
    targets: np.ndarray
    ids: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """The images by split, as positions in `data`; `classes` are those of the head, rising."""

    data: TrainingData
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    classes: np.ndarray
    warnings: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the head."""
        return tuple(self.data.classes[position] for position in self.classes)

    def targets(self, positions: np.ndarray) -> np.ndarray:
        """Of these images in the head's own classes."""
        if self.data.multi_label:
            return self.data.targets[positions][:, self.classes]
        own = np.full(len(self.data.classes), UNLABELLED, np.int64)
        own[self.classes] = np.arange(len(self.classes))
        return own[self.data.targets[positions]]

    def part(self, split: str) -> Part | None:
        """The images of "validation" or "test" with a label that the head knows; None where there is none."""
        positions = self.test if split == "test" else self.validation
        targets = self.targets(positions)
        known = targets.any(axis=1) if self.data.multi_label else targets >= 0
        if not known.any():
            return None
        positions = positions[known]
        return Part(
            self.data.features[positions, 0], targets[known], [self.data.ids[n] for n in positions.tolist()]
        )


def select(data: TrainingData) -> Selection:
    """Sorts the images by split and checks that there is something to learn.

    Raises:
        FailedPrecondition: NO_EXAMPLES, NO_LABELS, NO_TRAINING_EXAMPLES, ONE_CLASS, or FEATURES_NOT_FINITE
            with the ids of some such images.
        InvalidArgument: FEATURES_MALFORMED, the arrays do not fit together.
    """
    count = len(data.targets)
    if data.features.ndim != 3 or not len(data.features) == len(data.splits) == len(data.ids) == count:
        raise InvalidArgument(
            "FEATURES_MALFORMED",
            f"features {data.features.shape}, {count} targets, {len(data.splits)} splits and "
            f"{len(data.ids)} ids do not fit together",
        )
    if count == 0:
        raise FailedPrecondition(
            "NO_EXAMPLES", "no image is left to train on", hint="add images that can be decoded"
        )
    labelled, splits = data.labelled(), np.asarray(data.splits)
    if not labelled.any():
        raise FailedPrecondition("NO_LABELS", f"none of the {count} images has a label", hint="label them")
    parts = {split: np.flatnonzero(labelled & (splits == split)) for split in np.unique(splits)}
    empty = np.zeros(0, np.int64)
    unassigned = parts.get("unassigned", empty)
    train, warnings = parts.get("train", empty), []
    if len(train) == 0:
        train = unassigned
    elif len(unassigned):
        warnings.append(f"{len(unassigned)} images are in no split and were left out")
    if len(train) == 0:
        raise FailedPrecondition(
            "NO_TRAINING_EXAMPLES",
            "no labelled image is in split train",
            hint="split the dataset, or move images to train",
        )
    if unlabelled := int(count - labelled.sum()):
        warnings.append(f"{unlabelled} images have no label and were left out")
    classes = _classes(data, train)
    warnings += _warnings(data, train, classes)
    chosen = Selection(
        data, train, parts.get("validation", empty), parts.get("test", empty), classes, tuple(warnings)
    )
    _check_finite(data, np.concatenate([chosen.train, chosen.validation, chosen.test]))
    return chosen


def _classes(data: TrainingData, train: np.ndarray) -> np.ndarray:
    counts = _counts(data, train)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise FailedPrecondition(
            "ONE_CLASS",
            f"all {len(train)} training images are labelled {data.classes[present[0]]!r}",
            hint="a classifier needs images of two classes and more",
        )
    return present


def _counts(data: TrainingData, images: np.ndarray) -> np.ndarray:
    if data.multi_label:
        return data.targets[images].sum(axis=0)
    return np.bincount(data.targets[images], minlength=len(data.classes))


def _warnings(data: TrainingData, train: np.ndarray, classes: np.ndarray) -> list[str]:
    counts = _counts(data, train)
    single = [data.classes[position] for position in classes if counts[position] == 1]
    missing = [
        data.classes[position]
        for position in np.flatnonzero(_counts(data, np.flatnonzero(data.labelled())))
        if counts[position] == 0
    ]
    found = []
    if single:
        found.append(f"classes with a single training image: {_some(single)}")
    if missing:
        found.append(f"classes without a training image were left out: {_some(missing)}")
    return found


def _check_finite(data: TrainingData, images: np.ndarray) -> None:
    # Row by row: a memory map must not be copied as a whole.
    bad = [int(image) for image in images.tolist() if not np.isfinite(data.features[image]).all()]
    if bad:
        raise FailedPrecondition(
            "FEATURES_NOT_FINITE",
            f"{len(bad)} images have features that are not finite: {_some([data.ids[n] for n in bad])}",
            hint="extract them again, or remove these images",
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
