"""What fine-tuning is judged on: solar cells by the protocol of their paper, and photographs in folders."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import importlib.resources
import random
from pathlib import Path

from penult_server.core.datasets import Split
from penult_server.core.snapshot import Snapshot, SnapshotExample, examples_file, image_file, to_line

_DEFECTIVE = 0.5
_HELD_OUT = 0.25


@dataclasses.dataclass(frozen=True, slots=True)
class ImageSet:
    """Image files with their labels and splits, in one order."""

    name: str
    files: tuple[Path, ...]
    labels: tuple[str, ...]
    splits: tuple[Split, ...]

    def write(self, directory: Path) -> None:
        """A snapshot of it in a job's directory, as the server makes one."""
        examples = []
        for file, label, split in zip(self.files, self.labels, self.splits, strict=True):
            data = file.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            stored = image_file(directory, sha256)
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(data)
            examples.append(SnapshotExample(sha256, (label,), split, file.name))
        examples_file(directory).write_text("".join(map(to_line, examples)), encoding="utf-8")
        Snapshot(self.name, 1, len(examples), False).write(directory)


def solar_cells(seed: int) -> ImageSet:
    """The 2,624 cells of the package elpv-dataset, all of them, by the protocol of Deitsch et al. 2019.

    A cell is defective where the experts' probability is above 0.5. A quarter, stratified by that and by the
    kind of cell, is held out; `seed` says which. (arXiv:1807.02894)
    """
    root = Path(str(importlib.resources.files("elpv_dataset"))) / "data"
    rows = [line.split() for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines() if line]
    labels = ["defective" if float(probability) > _DEFECTIVE else "functional" for _, probability, _ in rows]
    strata: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for number, (label, (_, _, kind)) in enumerate(zip(labels, rows, strict=True)):
        strata[label, kind].append(number)
    splits = [Split.TRAIN] * len(rows)
    chance = random.Random(seed)
    for members in strata.values():
        for number in chance.sample(members, round(_HELD_OUT * len(members))):
            splits[number] = Split.TEST
    return ImageSet(f"elpv-{seed}", tuple(root / name for name, _, _ in rows), tuple(labels), tuple(splits))


def folders(root: Path, name: str) -> ImageSet:
    """The set in `root`/`name`/SPLIT/LABEL/*.jpg, with the splits train, validation and test."""
    found = [
        (file, file.parent.name, split)
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
        for file in sorted((root / name / split.value).glob("*/*.jp*g"))
    ]
    files, labels, splits = zip(*found, strict=True)
    return ImageSet(name, files, labels, splits)


def few(whole: ImageSet, each: int, seed: int) -> ImageSet:
    """`each` training images a class, drawn by `seed`; those that judge and test stay as they are."""
    classes: dict[str, list[int]] = collections.defaultdict(list)
    for number, (label, split) in enumerate(zip(whole.labels, whole.splits, strict=True)):
        if split is Split.TRAIN:
            classes[label].append(number)
    chance = random.Random(seed)
    chosen = {number for members in classes.values() for number in chance.sample(members, each)}
    kept = [n for n, split in enumerate(whole.splits) if split is not Split.TRAIN or n in chosen]
    return ImageSet(
        f"{whole.name}-{each}-{seed}",
        tuple(whole.files[n] for n in kept),
        tuple(whole.labels[n] for n in kept),
        tuple(whole.splits[n] for n in kept),
    )
