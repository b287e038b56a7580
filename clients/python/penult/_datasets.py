"""Messages of DatasetService: requests from arguments, results from responses."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from penult._whole_file import WholeFile
from penult.dataset_types import ChangeSummary, ClassCount, Dataset, Example, SplitCounts, SplitName
from penult.errors import InvalidArgument
from penult.types import ItemError
from penult.v1 import dataset_pb2 as pb

PAGE_SIZE = 500
MAX_CHANGES = 10_000
MAX_EXAMPLE_IMAGES = 32
Labels = str | Iterable[str]

_SPLITS: dict[str, pb.Split] = {
    "unassigned": pb.SPLIT_UNASSIGNED,
    "train": pb.SPLIT_TRAIN,
    "validation": pb.SPLIT_VALIDATION,
    "test": pb.SPLIT_TEST,
}
_SPLIT_NAMES = {number: name for name, number in _SPLITS.items()}


def new_request_id() -> str:
    """For one write, however often it is sent."""
    return str(uuid.uuid4())


def split_number(split: str | None) -> pb.Split:
    """The split as it travels. Raises InvalidArgument for an unknown one."""
    if split is None:
        return pb.SPLIT_UNSPECIFIED
    try:
        return _SPLITS[split]
    except KeyError:
        raise InvalidArgument(
            f"unknown split {split!r}", reason="SPLIT_UNKNOWN", hint=f"one of {', '.join(_SPLITS)}"
        ) from None


def label_tuple(labels: Labels | None) -> tuple[str, ...]:
    """One label, several or none."""
    if labels is None:
        return ()
    return (labels,) if isinstance(labels, str) else tuple(labels)


def example_filter(
    split: SplitName | Iterable[SplitName] | None, label: Labels | None, unlabelled: bool
) -> pb.ExampleFilter:
    """Which examples. Raises InvalidArgument for an unknown split."""
    return pb.ExampleFilter(
        splits=map(split_number, label_tuple(split)), labels=label_tuple(label), unlabelled=unlabelled
    )


def split_request(
    name: str, fractions: Mapping[str, float], seed: int, stratified: bool, reassign: bool
) -> pb.SplitDatasetRequest:
    """The request of a split."""
    return pb.SplitDatasetRequest(
        dataset=name,
        fractions=pb.SplitFractions(**fractions),
        seed=seed,
        by_hash=not stratified,
        reassign=reassign,
        request_id=new_request_id(),
    )


def relabel_requests(
    name: str, labels: Mapping[str, Labels | None], splits: Mapping[str, SplitName]
) -> Iterator[tuple[Sequence[str], pb.RelabelExamplesRequest]]:
    """As many requests as it takes, each with the pictures that it changes."""
    for sha256s in batches([*labels, *(sha256 for sha256 in splits if sha256 not in labels)]):
        changes = [
            pb.ExampleChange(
                sha256=sha256,
                labels=pb.Labels(values=label_tuple(labels[sha256])) if sha256 in labels else None,
                split=split_number(splits.get(sha256)),
            )
            for sha256 in sha256s
        ]
        yield sha256s, pb.RelabelExamplesRequest(dataset=name, changes=changes, request_id=new_request_id())


def batches(sha256s: Iterable[str], size: int = MAX_CHANGES) -> Iterator[list[str]]:
    """As many as one call takes at a time."""
    rest = iter(sha256s)
    while some := list(itertools.islice(rest, size)):
        yield some


def add_changes(
    total: ChangeSummary, sha256s: Sequence[str], response: pb.RelabelExamplesResponse, first: int
) -> ChangeSummary:
    """The summary of one more call, whose first change is at position `first` of all."""
    errors = tuple(
        ItemError(first + error.index, error.reason, error.message, sha256s[error.index])
        for error in response.errors
    )
    return ChangeSummary(
        total.changed + response.changed, total.unchanged + response.unchanged, total.errors + errors
    )


def dataset(message: pb.Dataset) -> Dataset:
    """The dataset without its message."""
    return Dataset(
        name=message.name,
        multi_label=message.multi_label,
        created=message.create_time.ToDatetime(datetime.timezone.utc),
        revision=message.revision,
        counts=_counts(message.counts),
        size_bytes=message.size_bytes,
        classes=tuple(ClassCount(item.label, _counts(item.counts)) for item in message.classes),
        unlabelled=_counts(message.unlabelled),
    )


def _counts(message: pb.SplitCounts) -> SplitCounts:
    return SplitCounts(message.train, message.validation, message.test, message.unassigned)


def example(message: pb.Example) -> Example:
    """The example without its message."""
    return Example(
        sha256=message.sha256,
        labels=tuple(message.labels),
        split=cast("SplitName", _SPLIT_NAMES.get(message.split, "unassigned")),
        metadata=json.loads(message.metadata_json or "{}"),
        id=message.id,
        width=message.width,
        height=message.height,
        size_bytes=message.size_bytes,
    )


def manifest_line(message: pb.Example) -> str:
    """One example as a line of a manifest."""
    return json.dumps(dataclasses.asdict(example(message)), ensure_ascii=False) + "\n"


class ManifestFile(WholeFile):
    """A manifest on its way here."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.count = 0

    def write(self, examples: Iterable[pb.Example]) -> None:
        """Appends a line for each."""
        for message in examples:
            self.file.write(manifest_line(message).encode())
            self.count += 1
