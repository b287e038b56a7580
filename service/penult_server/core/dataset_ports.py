"""The contracts between datasets in core and what checks and keeps their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from penult_server.core.datasets import (
    ChangeSummary,
    CheckedImage,
    Dataset,
    Example,
    ExampleChange,
    ExampleFilter,
    Receipt,
    UploadMessage,
)
from penult_server.core.images import ImageError, SourceImage
from penult_server.core.splits import SplitPlan


class ImageChecker(Protocol):
    """Finds out whether images can be used, by decoding them."""

    async def check(self, images: Sequence[SourceImage]) -> list[CheckedImage | ImageError]:
        """One answer for each image, in order. Cancelling the caller drops what is not begun."""
        ...


class DatasetStore(Protocol):
    """Keeps datasets. Blocking; called off the event loop. What returns is durable.

    Every method with a `name` raises NotFound where no dataset has it. A repeated `request_id` gets the
    first answer again; "" stands for none. All writes raise ResourceExhausted on a full disk.
    """

    def create(self, name: str, multi_label: bool, request_id: str) -> Dataset:
        """A new empty dataset. Raises AlreadyExists."""
        ...

    def get(self, name: str, *, classes: bool = True) -> Dataset:
        """One dataset, with class counts if asked for."""
        ...

    def list(self, after: str, limit: int) -> Sequence[Dataset]:
        """Datasets by name from the one after `after`, without class counts."""
        ...

    def delete(self, name: str, request_id: str) -> int:
        """Removes a dataset and the images that no other one holds; says how many examples it had."""
        ...

    def receipts(self, dataset: Dataset, request_id: str) -> Mapping[int, Receipt]:
        """What this upload was acknowledged already, by first_index."""
        ...

    def add(self, dataset: Dataset, request_id: str, messages: Sequence[UploadMessage]) -> Sequence[Receipt]:
        """Adds the examples of some messages in one transaction. Raises NotFound if it was deleted."""
        ...

    def examples(
        self, name: str, wanted: ExampleFilter, after: int, limit: int
    ) -> tuple[int, Sequence[tuple[int, Example]]]:
        """The revision, and examples with their positions from the one after `after`, in the order added."""
        ...

    def images(self, name: str, sha256s: Sequence[str]) -> Mapping[str, bytes]:
        """The files of the examples that there are, by sha256. Raises DataLoss where one is damaged."""
        ...

    def relabel(self, name: str, changes: Sequence[ExampleChange], request_id: str) -> ChangeSummary:
        """Makes the changes in one transaction; those that cannot be made are its errors."""
        ...

    def split(self, name: str, plan: SplitPlan, request_id: str) -> int:
        """Assigns splits in one transaction; says how many examples have another one now."""
        ...

    def remove(self, name: str, sha256s: Sequence[str], request_id: str) -> int:
        """Removes examples, and images that no dataset holds any more; says how many were there."""
        ...


class DatasetSnapshots(Protocol):
    """Takes datasets as they are at one moment. Blocking."""

    def take(self, name: str, directory: Path) -> None:
        """Writes a core.snapshot into `directory`.

        Raises:
            NotFound: there is no such dataset.
            FailedPrecondition: it has no examples, or keeps changing.
            ResourceExhausted: the disk is full.
        """
        ...
