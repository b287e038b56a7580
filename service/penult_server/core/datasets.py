"""What a dataset is, what an example may be, and when two uploads of one picture contradict each other."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence

from penult_server.core.errors import ResourceExhausted
from penult_server.core.images import ItemError, SourceImage

MAX_LABELS = 64
MAX_LABEL_BYTES = 256
MAX_METADATA_BYTES = 16 << 10
MAX_ID_BYTES = 512


class Split(str, enum.Enum):
    """What an example is used for."""

    UNASSIGNED = "unassigned"
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SplitCounts = Mapping[Split, int]
"""Numbers of examples; a split without any may be missing."""


class ExampleFault(str, enum.Enum):
    """Why an example, or a change of one, is refused. docs/datasets.md explains each."""

    LABEL_INVALID = "LABEL_INVALID"
    """Empty, too long, or with control characters."""
    TOO_MANY_LABELS = "TOO_MANY_LABELS"
    """More than one in a single-label dataset, or more than MAX_LABELS."""
    METADATA_INVALID = "METADATA_INVALID"
    """No JSON object, or too long."""
    ID_INVALID = "ID_INVALID"
    """Too long, or with control characters."""
    OTHER_SPLIT = "EXAMPLE_IN_OTHER_SPLIT"
    """The dataset holds this picture in another split."""
    OTHER_LABELS = "EXAMPLE_HAS_OTHER_LABELS"
    """The dataset holds this picture with other labels."""
    NOT_FOUND = "EXAMPLE_NOT_FOUND"
    """The dataset holds no such picture."""


class ExampleError(Exception):
    """This one example is refused; others are unaffected."""

    def __init__(self, fault: ExampleFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message

    def item(self, index: int, item_id: str) -> ItemError:
        """As the error of one item."""
        return ItemError(index, item_id, self.fault.value, self.message)


@dataclasses.dataclass(frozen=True, slots=True)
class NewExample:
    """An example as a client sends it; its image carries the client's id."""

    image: SourceImage
    labels: tuple[str, ...] = ()
    split: Split = Split.UNASSIGNED
    metadata_json: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image that decodes. `data` is what is kept: the file as sent, or raw pixels as PNG.

    `sha256` is that of `data`, lower-case hex; width and height are those of the upright picture.
    """

    data: bytes
    sha256: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A checked example on its way into a dataset. `index` is its position in the upload."""

    index: int
    image: CheckedImage
    new: NewExample


@dataclasses.dataclass(frozen=True, slots=True)
class UploadMessage:
    """The checked examples of one message of an upload, with the errors that are known so far."""

    first_index: int
    count: int
    candidates: Sequence[Candidate]
    errors: Sequence[ItemError]


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message; added + unchanged + errors are its `count` examples."""

    first_index: int
    count: int
    added: int
    unchanged: int
    errors: list[ItemError]


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """An image of a dataset. `labels` are sorted; `id` is the client's name of the image."""

    sha256: str
    labels: tuple[str, ...]
    split: Split
    metadata_json: str
    id: str
    width: int
    height: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class ExampleFilter:
    """Which examples: in any of `splits`, with any of `labels`, without any label. Empty keeps all."""

    splits: frozenset[Split] = frozenset()
    labels: frozenset[str] = frozenset()
    unlabelled: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ExampleChange:
    """New labels or a new split for one picture; None leaves as it is."""

    sha256: str
    labels: tuple[str, ...] | None = None
    split: Split | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ChangeSummary:
    """What became of some changes."""

    changed: int
    unchanged: int
    errors: list[ItemError]


@dataclasses.dataclass(frozen=True, slots=True)
class ClassCount:
    """Examples with one label."""

    label: str
    counts: SplitCounts


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """A named set of examples. `revision` grows with every change of them.

    `classes` are sorted by label; they and `unlabelled` are None where they were not asked for.
    """

    id: int
    name: str
    multi_label: bool
    created_ms: int
    revision: int
    counts: SplitCounts
    size_bytes: int
    classes: Sequence[ClassCount] | None = None
    unlabelled: SplitCounts | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Quota:
    """Most that one dataset may hold. Uploads at the same time may pass it by what they have under way."""

    examples: int
    bytes: int

    def check(self, dataset: Dataset, added: int, added_bytes: int) -> None:
        """Raises ResourceExhausted where `added` examples of so many bytes are too much for it."""
        count, size = sum(dataset.counts.values()) + added, dataset.size_bytes + added_bytes
        if count > self.examples or size > self.bytes:
            raise ResourceExhausted(
                "DATASET_QUOTA",
                f"dataset {dataset.name!r} would have {count} examples of {size >> 20} MiB; "
                f"at most {self.examples} of {self.bytes >> 20} MiB are taken",
                hint="delete some, use another dataset, or raise the server's max_examples or max_dataset_mb",
            )


def check_labels(labels: Sequence[str], *, multi_label: bool) -> tuple[str, ...]:
    """The labels sorted, each once. Raises ExampleError."""
    unique = tuple(sorted(set(labels)))
    most = MAX_LABELS if multi_label else 1
    if len(unique) > most:
        kind = "multi-label" if multi_label else "single-label"
        raise ExampleError(
            ExampleFault.TOO_MANY_LABELS, f"{len(unique)} labels; this {kind} dataset takes at most {most}"
        )
    for label in unique:
        if not label.strip() or not _printable(label, MAX_LABEL_BYTES):
            raise ExampleError(
                ExampleFault.LABEL_INVALID,
                f"{label[:80]!r} is no label: printable text of 1 to {MAX_LABEL_BYTES} bytes",
            )
    return unique


def check_new(new: NewExample, *, multi_label: bool) -> NewExample:
    """The example with its labels in order. Raises ExampleError for what no dataset of this kind takes."""
    if new.image.id and not _printable(new.image.id, MAX_ID_BYTES):
        raise ExampleError(
            ExampleFault.ID_INVALID, f"an id is printable text of at most {MAX_ID_BYTES} bytes"
        )
    if new.metadata_json:
        _check_metadata(new.metadata_json)
    return dataclasses.replace(new, labels=check_labels(new.labels, multi_label=multi_label))


def check_repeat(existing: Example, new: NewExample) -> None:
    """Raises ExampleError where an upload contradicts the example that is there.

    What the upload leaves out contradicts nothing, nor do id and metadata: the first ones stay.
    """
    if new.split is not Split.UNASSIGNED and new.split is not existing.split:
        raise ExampleError(
            ExampleFault.OTHER_SPLIT,
            f"picture {existing.sha256} is in split {existing.split.value} already, not {new.split.value}; "
            "an upload moves nothing, RelabelExamples does",
        )
    if new.labels and new.labels != existing.labels:
        raise ExampleError(
            ExampleFault.OTHER_LABELS,
            f"picture {existing.sha256} is labelled {', '.join(existing.labels) or 'nothing'} already, "
            f"not {', '.join(new.labels)}; an upload changes nothing, RelabelExamples does",
        )


def _check_metadata(text: str) -> None:
    try:
        valid = len(text.encode()) <= MAX_METADATA_BYTES and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        valid = False
    if not valid:
        raise ExampleError(
            ExampleFault.METADATA_INVALID,
            f"metadata is the text of a JSON object of at most {MAX_METADATA_BYTES} bytes",
        )


def _printable(text: str, most_bytes: int) -> bool:
    return text.isprintable() and len(text.encode()) <= most_bytes
