"""What an analysis of a dataset found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class LabelCount:
    """Examples with one label ("" for those without any), also by split."""

    label: str
    count: int
    by_split: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class AnalyzedExample:
    """An example that deserves a look; `reason` and `message` say why, unless it is one of duplicates."""

    sha256: str
    id: str
    split: str
    labels: tuple[str, ...]
    reason: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Examples that show the same picture: `count` of them, of which up to 20 are in `examples`."""

    examples: tuple[AnalyzedExample, ...]
    count: int
    across_splits: bool
    labels_differ: bool


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetAnalysis:
    """Counts are of all, lists hold the 200 most serious.

    Attributes:
        revision: of the dataset when the analysis was asked for.
        unreadable: images that cannot be decoded.
        tiny: images with a side shorter than 32 pixels.
        duplicates: groups with the same pixels.
        near_duplicates: groups that look the same.
        advice: what to do about it, the most serious first.
    """

    dataset: str
    revision: int
    example_count: int
    labels: tuple[LabelCount, ...]
    split_counts: Mapping[str, int]
    unreadable_count: int
    unreadable: tuple[AnalyzedExample, ...]
    tiny_count: int
    tiny: tuple[AnalyzedExample, ...]
    duplicate_group_count: int
    duplicate_groups_across_splits: int
    duplicates: tuple[DuplicateGroup, ...]
    near_duplicate_group_count: int
    near_duplicate_groups_across_splits: int
    near_duplicates: tuple[DuplicateGroup, ...]
    advice: tuple[str, ...]
