"""A dataset as it was at one moment, in a job's directory: what the job works on, whatever changes later.

`snapshot.json` names it, `examples.jsonl` has a line for each example in the order of adding, and
`images/ab/cdef…` are the image files by sha256.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from penult_server.core.datasets import Split


@dataclasses.dataclass(frozen=True, slots=True)
class SnapshotExample:
    """An example of a snapshot; `id` is the client's name of the image, `metadata_json` "" for none."""

    sha256: str
    labels: tuple[str, ...]
    split: Split
    id: str = ""
    metadata_json: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """Which dataset, at which revision, with how many examples."""

    dataset: str
    revision: int
    count: int
    multi_label: bool

    def write(self, directory: Path) -> None:
        """Writes its name, not yet synced."""
        (directory / "snapshot.json").write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Snapshot:
        """The snapshot in this directory."""
        return cls(**json.loads((directory / "snapshot.json").read_text(encoding="utf-8")))


def examples_file(directory: Path) -> Path:
    """Where the examples are."""
    return directory / "examples.jsonl"


def image_file(directory: Path, sha256: str) -> Path:
    """Where the image with this content is."""
    return directory / "images" / sha256[:2] / sha256[2:]


def to_line(example: SnapshotExample) -> str:
    """A line of the file of examples."""
    return json.dumps(dataclasses.asdict(example)) + "\n"


def read_examples(directory: Path) -> Iterator[SnapshotExample]:
    """Every example, in order."""
    with open(examples_file(directory), encoding="utf-8") as lines:
        for line in lines:
            values = json.loads(line)
            yield SnapshotExample(
                values["sha256"], tuple(values["labels"]), Split(values["split"]), values["id"],
                values.get("metadata_json", ""),
            )  # fmt: skip


def content_sha256(directory: Path) -> str:
    """sha256 hex over image, labels and split of each example, in whatever order they were added."""
    lines = sorted(
        json.dumps([example.sha256, example.labels, example.split.value])
        for example in read_examples(directory)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
