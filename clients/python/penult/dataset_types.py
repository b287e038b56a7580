"""What calls on datasets return."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal

from penult.types import ItemError

SplitName = Literal["unassigned", "train", "validation", "test"]


@dataclasses.dataclass(frozen=True, slots=True)
class SplitCounts:
    """Numbers of examples."""

    train: int = 0
    validation: int = 0
    test: int = 0
    unassigned: int = 0

    @property
    def total(self) -> int:
        """Of all splits."""
        return self.train + self.validation + self.test + self.unassigned


@dataclasses.dataclass(frozen=True, slots=True)
class ClassCount:
    """Examples with one label."""

    label: str
    counts: SplitCounts


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """A named set of labelled images on the server.

    Attributes:
        multi_label: examples may carry several labels, else at most one.
        revision: grows with every change of the examples.
        size_bytes: of its images.
        classes: by label; a list of datasets leaves them, and `unlabelled`, out.
        unlabelled: examples without any label.
    """

    name: str
    multi_label: bool
    created: datetime.datetime
    revision: int
    counts: SplitCounts
    size_bytes: int
    classes: tuple[ClassCount, ...] = ()
    unlabelled: SplitCounts = SplitCounts()


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """An image of a dataset, known by the sha256 of its bytes. `id` is the caller's name of it.

    `metadata` is what was given with it, {} if nothing. Width and height are in pixels, upright.
    """

    sha256: str
    labels: tuple[str, ...]
    split: SplitName
    metadata: dict[str, Any]
    id: str
    width: int
    height: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class UploadSummary:
    """What became of an upload: added + unchanged + errors is the number of images given.

    Attributes:
        unchanged: images that the dataset held already.
        errors: the images that were refused, by position; a reason is one of docs/images.md, or such
            as `EXAMPLE_IN_OTHER_SPLIT`.
    """

    added: int
    unchanged: int
    errors: tuple[ItemError, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ChangeSummary:
    """What became of changes; `errors` are those refused, by position and with the sha256 as `name`."""

    changed: int
    unchanged: int
    errors: tuple[ItemError, ...] = ()
