"""What a head is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

UNLABELLED = -1


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingData:
    """Features with labels and splits; N images.

    Attributes:
        features: float32 (N, views, dim). View 0 is the plain one, which everything is measured with; the
            others are augmented and only trained on. May be a memory map.
        targets: int64 (N,) positions in `classes`, UNLABELLED where there is no label; multi-label: bool
            (N, classes), where a row without any has no label.
        classes: labels; those that no training image has are left out of the head.
        splits: for each image "train", "validation", "test" or "unassigned". Unassigned images are trained
            on where no image is in "train", and else left out.
        ids: for each image what names it in evidence and errors, such as its sha256.
    """

    features: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    splits: Sequence[str]
    ids: Sequence[str]

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels."""
        return self.targets.ndim == 2

    def labelled(self) -> np.ndarray:
        """Bool (N,): which images have a label."""
        return np.asarray(self.targets.any(axis=1) if self.multi_label else self.targets >= 0)


def encode(labels: Sequence[Sequence[str]], classes: Sequence[str], *, multi_label: bool) -> np.ndarray:
    """Targets of images from their labels.

    Args:
        labels: of each image, none, one or several.
        classes: known labels; others are taken for none.
        multi_label: several labels an image.

    Returns:
        int64 (N,) or bool (N, classes), as in TrainingData.
    """
    position = {label: number for number, label in enumerate(classes)}
    if not multi_label:
        return np.array([position.get(row[0], UNLABELLED) if row else UNLABELLED for row in labels], np.int64)
    targets = np.zeros((len(labels), len(classes)), bool)
    for number, row in enumerate(labels):
        targets[number, [position[label] for label in row if label in position]] = True
    return targets
