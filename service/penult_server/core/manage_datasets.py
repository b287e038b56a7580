"""Use cases on datasets, all but the upload."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence

from penult_server.core.dataset_ports import DatasetStore
from penult_server.core.datasets import ChangeSummary, Dataset, Example, ExampleChange, ExampleFilter
from penult_server.core.errors import FailedPrecondition, InvalidArgument
from penult_server.core.names import check_name
from penult_server.core.paging import Page, page_of, start_of_page
from penult_server.core.splits import SplitPlan

MAX_CHANGES = 10_000
MAX_IMAGES = 64
EXPORT_ROWS = 500
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POSITION = re.compile(r"[0-9]{1,18}")


class ManageDatasets:
    """Makes, describes, changes and removes datasets. Methods raise NotFound for a name that none has."""

    def __init__(self, store: DatasetStore) -> None:
        """`store` keeps them."""
        self._store = store

    async def create(self, name: str, multi_label: bool, request_id: str) -> Dataset:
        """A new dataset. Raises InvalidArgument for a bad name, AlreadyExists for a taken one."""
        check_name(name, "name")
        return await asyncio.to_thread(self._store.create, name, multi_label, request_id)

    async def get(self, name: str) -> Dataset:
        """One dataset with its class counts."""
        return await asyncio.to_thread(self._store.get, name)

    async def list(self, page_size: int, page_token: str) -> Page[Dataset]:
        """One page by name, without class counts."""
        size, after = start_of_page(page_size, page_token)
        rows = await asyncio.to_thread(self._store.list, after, size + 1)
        return page_of(rows, size, key=lambda dataset: dataset.name)

    async def delete(self, name: str, request_id: str) -> int:
        """Removes it; says how many examples it had."""
        return await asyncio.to_thread(self._store.delete, name, request_id)

    async def examples(
        self, name: str, wanted: ExampleFilter, page_size: int, page_token: str
    ) -> Page[Example]:
        """One page of examples in the order in which they were added."""
        size, after = start_of_page(page_size, page_token)
        if after and not _POSITION.fullmatch(after):
            raise InvalidArgument(
                "BAD_PAGE_TOKEN",
                "page_token is not one of ListExamples",
                field="page_token",
                hint="start again without a token",
            )
        _, rows = await asyncio.to_thread(self._store.examples, name, wanted, int(after or 0), size + 1)
        page = page_of(rows, size, key=lambda row: str(row[0]))
        return Page([example for _, example in page.items], page.next_token)

    async def images(self, name: str, sha256s: Sequence[str]) -> Mapping[str, bytes]:
        """Image files of the examples that there are, in this order. Raises InvalidArgument, DataLoss."""
        _check_batch(sha256s, "sha256", "sha256[{}]", most=MAX_IMAGES)
        return await asyncio.to_thread(self._store.images, name, sha256s)

    async def relabel(self, name: str, changes: Sequence[ExampleChange], request_id: str) -> ChangeSummary:
        """Changes labels and splits. Raises InvalidArgument for none, too many or a bad sha256."""
        _check_batch([change.sha256 for change in changes], "changes", "changes[{}].sha256")
        return await asyncio.to_thread(self._store.relabel, name, changes, request_id)

    async def split(self, name: str, plan: SplitPlan, request_id: str) -> tuple[Dataset, int]:
        """Assigns splits; the dataset after it, and how many examples moved."""
        changed = await asyncio.to_thread(self._store.split, name, plan, request_id)
        return await self.get(name), changed

    async def remove(self, name: str, sha256s: Sequence[str], request_id: str) -> int:
        """Removes examples; says how many were there. Raises InvalidArgument as `relabel` does."""
        _check_batch(sha256s, "sha256", "sha256[{}]")
        return await asyncio.to_thread(self._store.remove, name, sha256s, request_id)

    async def export(
        self, name: str, wanted: ExampleFilter
    ) -> AsyncGenerator[tuple[int, Sequence[Example]], None]:
        """All examples of one revision, with it, some at a time; at least one batch, which may be empty.

        Raises:
            FailedPrecondition: the dataset changed before the end.
        """
        first_revision, after = None, 0
        while True:
            revision, rows = await asyncio.to_thread(self._store.examples, name, wanted, after, EXPORT_ROWS)
            if first_revision not in (None, revision):
                raise FailedPrecondition(
                    "DATASET_CHANGED",
                    f"dataset {name!r} changed during the export",
                    hint="export it again when no upload or change is under way",
                )
            if rows or first_revision is None:
                yield revision, [example for _, example in rows]
            if len(rows) < EXPORT_ROWS:
                return
            first_revision, after = revision, rows[-1][0]


def _check_batch(sha256s: Sequence[str], field: str, item_field: str, *, most: int = MAX_CHANGES) -> None:
    if not 0 < len(sha256s) <= most:
        raise InvalidArgument(
            "BAD_COUNT", f"{len(sha256s)} given; 1 to {most} are taken at once", field=field
        )
    for position, sha256 in enumerate(sha256s):
        if not _SHA256.fullmatch(sha256):
            raise InvalidArgument(
                "BAD_SHA256",
                "sha256 must be 64 lower-case hex digits",
                field=item_field.format(position),
                hint="ListExamples gives them",
            )
