"""Which photos the demo works on: the user's folder, or the solar cells of the package elpv-dataset."""

from __future__ import annotations

import dataclasses
import importlib.resources
import importlib.util
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from penult import InvalidArgument, image_files
from penult.demo.errors import DemoError

SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test"}

ELPV_LICENCE = (
    "Photos: ELPV data set (Buerhop-Lutz et al. 2018; Deitsch et al. 2019, 2021), CC BY-NC-SA 4.0: not for "
    "commercial use. They are no part of Penult; the report shows some, so the same holds for it."
)
ELPV_NOTES = (
    "Only cells of whose state the experts were certain take part (defect probability 0 or 1), which is "
    "easier than the whole set. Cells of one solar module may be on both sides of the split.",
)


@dataclasses.dataclass(frozen=True)
class PhotoSet:
    """Photos and, where there are classes, the label of each.

    Attributes:
        labels: as long as `paths`; empty where the photos have no classes.
        available: number of photos before a sample was drawn.
        notes: what a reader must know to judge the results.
        licence: of the photos; empty where it is not known.
    """

    title: str
    root: Path
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    available: int
    notes: tuple[str, ...] = ()
    licence: str = ""

    def usable(self, failed: Sequence[int]) -> list[int]:
        """Positions without those that failed, and without photos that this leaves alone in their class."""
        gone = set(failed)
        left = [i for i in range(len(self.paths)) if i not in gone]
        counts = Counter(self.labels[i] for i in left) if self.labels else {}
        return [i for i in left if not self.labels or counts[self.labels[i]] > 1]

    def take(self, positions: Sequence[int]) -> PhotoSet:
        """The photos at these positions; without labels where they are all of one class."""
        labels = tuple(self.labels[i] for i in positions) if self.labels else ()
        if len(set(labels)) < 2:
            labels = ()
        return dataclasses.replace(self, paths=tuple(self.paths[i] for i in positions), labels=labels)

    def name(self, position: int) -> str:
        """Path of a photo below the set's folder."""
        return str(self.paths[position].relative_to(self.root))


def solar_cells(limit: int, seed: int) -> PhotoSet:
    """Photos of solar cells under current (300 x 300), labelled functional or defective by experts.

    Raises:
        DemoError: the package elpv-dataset is not installed.
    """
    if importlib.util.find_spec("elpv_dataset") is None:
        raise DemoError(
            "the demo's photo set is not installed (PyPI package elpv-dataset)",
            "run `pip install 'penult[demo]'`, or give a folder of your own with --images FOLDER",
        )
    root = Path(str(importlib.resources.files("elpv_dataset"))) / "data"
    paths, labels, strata = [], [], []
    for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines():
        path, probability, cell_type = line.split()
        if float(probability) in (0.0, 1.0):
            paths.append(root / path)
            labels.append("defective" if float(probability) else "functional")
            strata.append((labels[-1], cell_type))
    chosen = stratified_sample(strata, limit, seed)
    return PhotoSet(
        "photos of solar cells",
        root,
        tuple(paths[i] for i in chosen),
        tuple(labels[i] for i in chosen),
        available=len(paths),
        notes=ELPV_NOTES,
        licence=ELPV_LICENCE,
    )


def folder(given: Path, limit: int, seed: int) -> PhotoSet:
    """The photos of a folder; its sub-folders are the classes, if it has any.

    Raises:
        DemoError: no such folder, no photos in it, or its sub-folders are splits rather than classes.
    """
    root = given.expanduser().resolve()
    if not root.is_dir():
        raise DemoError(
            f"there is no folder {str(given)!r}",
            "give a folder of photos: one sub-folder a class, or just photos",
        )
    try:
        paths = [Path(path) for path in image_files(root)]
    except InvalidArgument as error:
        raise DemoError(
            error.message, "put JPEG, PNG or other photos there, one sub-folder a class"
        ) from error
    inside = [path.relative_to(root).parts for path in paths]
    labels = [parts[0] if len(parts) > 1 else "" for parts in inside]
    classes = set(labels) - {""}
    if classes and {name.lower() for name in classes} <= SPLIT_NAMES:
        raise DemoError(
            f"the sub-folders of {str(given)!r} look like splits ({', '.join(sorted(classes))}), not classes",
            f"name one of them: --images {given / min(classes)}",
        )
    notes = []
    if len(classes) > 1:
        counts = Counter(labels)
        usable = {name for name in classes if counts[name] > 1}
        left_out = sum(count for name, count in counts.items() if name not in usable)
        if left_out:
            notes.append(f"{left_out} photos left out: outside any class folder, or alone in theirs.")
        keep = [i for i, label in enumerate(labels) if label in usable]
        paths, labels = [paths[i] for i in keep], [labels[i] for i in keep]
    if len(set(labels)) < 2:
        labels = [""] * len(paths)
    if len(paths) < 2:
        raise DemoError(f"too few photos in {str(given)!r}", "give two at least, better some dozens a class")
    chosen = stratified_sample(labels, limit, seed)
    return PhotoSet(
        f"photos of {root.name}",
        root,
        tuple(paths[i] for i in chosen),
        tuple(labels[i] for i in chosen) if any(labels) else (),
        available=len(paths),
        notes=tuple(notes),
    )


def stratified_sample(strata: Sequence[Hashable], limit: int, seed: int) -> list[int]:
    """Sorted positions of about `limit` items in the proportions of the whole; 0 takes all.

    Of every stratum at least two items stay, where it has as many.
    """
    if not limit or limit >= len(strata):
        return list(range(len(strata)))
    generator = np.random.default_rng(seed)
    members: dict[Hashable, list[int]] = {}
    for position, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(position)
    chosen: list[int] = []
    for positions in members.values():
        count = min(len(positions), max(2, round(limit * len(positions) / len(strata))))
        chosen += generator.permutation(positions)[:count].tolist()
    return sorted(chosen)
