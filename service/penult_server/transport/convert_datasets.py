"""Between the wire's datasets and core's."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import timestamp_pb2

from penult.v1 import dataset_pb2 as pb
from penult_server.core.datasets import (
    Dataset,
    Example,
    ExampleChange,
    ExampleFilter,
    NewExample,
    Split,
    SplitCounts,
)
from penult_server.core.errors import InvalidArgument
from penult_server.core.splits import DEFAULT_FRACTIONS, SplitPlan
from penult_server.transport.convert_images import image_from_wire

_SPLITS: dict[Split, pb.Split] = {
    Split.UNASSIGNED: pb.SPLIT_UNASSIGNED,
    Split.TRAIN: pb.SPLIT_TRAIN,
    Split.VALIDATION: pb.SPLIT_VALIDATION,
    Split.TEST: pb.SPLIT_TEST,
}
_SPLIT_OF: dict[int, Split] = {number: split for split, number in _SPLITS.items()}


def dataset_to_wire(dataset: Dataset) -> pb.Dataset:
    """A dataset with as many of its counts as are known."""
    created = timestamp_pb2.Timestamp()
    created.FromMilliseconds(dataset.created_ms)
    message = pb.Dataset(
        name=dataset.name,
        multi_label=dataset.multi_label,
        create_time=created,
        revision=dataset.revision,
        counts=_counts_to_wire(dataset.counts),
        size_bytes=dataset.size_bytes,
    )
    if dataset.classes is not None:
        message.classes.extend(
            pb.ClassCount(label=item.label, counts=_counts_to_wire(item.counts)) for item in dataset.classes
        )
    if dataset.unlabelled is not None:
        message.unlabelled.CopyFrom(_counts_to_wire(dataset.unlabelled))
    return message


def _counts_to_wire(counts: SplitCounts) -> pb.SplitCounts:
    return pb.SplitCounts(**{split.value: count for split, count in counts.items()})


def example_to_wire(example: Example) -> pb.Example:
    """One example."""
    return pb.Example(
        sha256=example.sha256,
        labels=example.labels,
        split=_SPLITS[example.split],
        metadata_json=example.metadata_json,
        id=example.id,
        width=example.width,
        height=example.height,
        size_bytes=example.size_bytes,
    )


def example_from_wire(example: pb.NewExample) -> NewExample:
    """An example on its way in. Raises InvalidArgument for a split of no meaning here."""
    return NewExample(
        image_from_wire(example.image),
        tuple(example.labels),
        split_from_wire(example.split) or Split.UNASSIGNED,
        example.metadata_json,
    )


def filter_from_wire(wanted: pb.ExampleFilter) -> ExampleFilter:
    """Which examples. Raises InvalidArgument for a split of no meaning here."""
    splits = frozenset(split for number in wanted.splits if (split := split_from_wire(number)))
    return ExampleFilter(splits, frozenset(wanted.labels), wanted.unlabelled)


def splits_from_wire(numbers: Iterable[int]) -> frozenset[Split]:
    """Which splits. Raises InvalidArgument for one of no meaning here."""
    return frozenset(split for number in numbers if (split := split_from_wire(number)))


def change_from_wire(change: pb.ExampleChange) -> ExampleChange:
    """A change of one example. Raises InvalidArgument for a split of no meaning here."""
    labels = tuple(change.labels.values) if change.HasField("labels") else None
    return ExampleChange(change.sha256, labels, split_from_wire(change.split))


def plan_from_wire(request: pb.SplitDatasetRequest) -> SplitPlan:
    """How to split. Raises InvalidArgument for fractions that are none."""
    fractions = DEFAULT_FRACTIONS
    if request.HasField("fractions"):
        given = request.fractions
        fractions = {Split.TRAIN: given.train, Split.VALIDATION: given.validation, Split.TEST: given.test}
    return SplitPlan(fractions, request.seed, request.by_hash, request.reassign)


def split_from_wire(number: int) -> Split | None:
    """A split, None where it is not said. Raises InvalidArgument for one of no meaning here."""
    if number == pb.SPLIT_UNSPECIFIED:
        return None
    try:
        return _SPLIT_OF[number]
    except KeyError:
        raise InvalidArgument(
            "BAD_ENUM",
            f"no split has the value {number}",
            field="split",
            hint="the server may be older than the client",
        ) from None
