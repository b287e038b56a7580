"""Datasets: rows in the database, images in files.

A file is durable before the row that names it, and outlives it: what is served is always whole. One
lock orders everything that writes files or removes them, so that a picture which one dataset drops
while another takes it is never lost.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from penult_server.core.datasets import (
    Candidate,
    ChangeSummary,
    Dataset,
    Example,
    ExampleChange,
    ExampleError,
    ExampleFault,
    ExampleFilter,
    Receipt,
    UploadMessage,
    check_labels,
    check_repeat,
)
from penult_server.core.errors import AlreadyExists
from penult_server.core.images import ItemError
from penult_server.core.quotas import NO_QUOTAS, Quotas
from penult_server.core.splits import SplitPlan, assign
from penult_server.store import acknowledged, dataset_rows, example_rows
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.dataset_tables import datasets
from penult_server.store.stored_bytes import check_stored


class DatasetStore:
    """Implements core.dataset_ports.DatasetStore, which says what the methods do."""

    def __init__(self, database: Database, blobs: Blobs, quotas: Quotas = NO_QUOTAS) -> None:
        """Clears away images and answers that nobody needs any more."""
        self._database = database
        self._blobs = blobs
        self._quotas = quotas
        self._files = threading.Lock()
        with database.write() as connection:
            acknowledged.forget_old(connection)
            blobs.sweep(lambda prefix: example_rows.with_prefix(connection, prefix))

    def create(self, name: str, multi_label: bool, request_id: str) -> Dataset:
        """See core.dataset_ports.DatasetStore."""
        write = f"CreateDataset {name}"
        with self._database.write() as connection:
            if acknowledged.recall(connection, request_id, write) is None:
                if connection.execute(sa.select(datasets.c.id).where(datasets.c.name == name)).first():
                    raise AlreadyExists(
                        "DATASET_EXISTS", f"there is a dataset {name!r}", hint="choose another name"
                    )
                self._quotas.one_more("datasets", dataset_rows.count(connection))
                dataset_rows.insert(connection, name, multi_label)
                acknowledged.remember(connection, request_id, write, True)
            return dataset_rows.get(connection, name, classes=True)

    def get(self, name: str, *, classes: bool = True) -> Dataset:
        """See core.dataset_ports.DatasetStore."""
        with self._database.read() as connection:
            return dataset_rows.get(connection, name, classes=classes)

    def list(self, after: str, limit: int) -> Sequence[Dataset]:
        """See core.dataset_ports.DatasetStore."""
        with self._database.read() as connection:
            return dataset_rows.page(connection, after, limit)

    def delete(self, name: str, request_id: str) -> int:
        """See core.dataset_ports.DatasetStore."""
        write = f"DeleteDataset {name}"
        with self._files:
            with self._database.write() as connection:
                before = acknowledged.recall(connection, request_id, write)
                if before is not None:
                    return int(before)
                dataset = dataset_rows.find(connection, name)
                deleted, orphans = example_rows.delete_all(connection, dataset.id)
                connection.execute(datasets.delete().where(datasets.c.id == dataset.id))
                acknowledged.remember(connection, request_id, write, deleted)
            self._blobs.discard(orphans)
        return deleted

    def receipts(self, dataset: Dataset, request_id: str) -> Mapping[int, Receipt]:
        """See core.dataset_ports.DatasetStore."""
        with self._database.read() as connection:
            answers = acknowledged.recall_all(connection, request_id, _upload(dataset))
        return {position: _receipt(answer) for position, answer in answers.items()}

    def add(self, dataset: Dataset, request_id: str, messages: Sequence[UploadMessage]) -> Sequence[Receipt]:
        """See core.dataset_ports.DatasetStore."""
        images = {item.image.sha256: item.image.data for message in messages for item in message.candidates}
        with self._files:
            try:
                self._blobs.put(images)
                with self._database.write() as connection:
                    owner = dataset_rows.owner(connection, dataset)
                    receipts = self._add(connection, dataset, owner, messages)
                    for receipt in receipts:
                        answer = dataclasses.asdict(receipt)
                        acknowledged.remember(
                            connection, request_id, _upload(dataset), answer, receipt.first_index
                        )
            except BaseException:
                self._discard_unused(images)
                raise
        return receipts

    def examples(
        self, name: str, wanted: ExampleFilter, after: int, limit: int
    ) -> tuple[int, Sequence[tuple[int, Example]]]:
        """See core.dataset_ports.DatasetStore."""
        with self._database.read() as connection:
            dataset = dataset_rows.find(connection, name)
            return dataset.revision, example_rows.page(connection, dataset.id, wanted, after, limit)

    def images(self, name: str, sha256s: Sequence[str]) -> Mapping[str, bytes]:
        """See core.dataset_ports.DatasetStore."""
        with self._files:  # so that none of them is removed before it is read
            with self._database.read() as connection:
                dataset = dataset_rows.find(connection, name)
                found = example_rows.find(connection, dataset.id, sha256s)
            return {sha256: self._blobs.read(sha256) for sha256 in sha256s if sha256 in found}

    def relabel(self, name: str, changes: Sequence[ExampleChange], request_id: str) -> ChangeSummary:
        """See core.dataset_ports.DatasetStore."""
        with self._database.write() as connection:
            dataset = dataset_rows.find(connection, name)
            write = f"RelabelExamples {dataset.id}"
            before = acknowledged.recall(connection, request_id, write)
            if before is not None:
                return ChangeSummary(**{**before, "errors": _errors(before)})
            found = example_rows.find(connection, dataset.id, (change.sha256 for change in changes))
            after, errors = _changed(found, changes, multi_label=dataset.multi_label)
            relabelled = {key: new for key, old, new in after if new.labels != old.labels}
            example_rows.drop_labels(connection, relabelled)
            example_rows.add_labels(
                connection, [(key, label) for key, new in relabelled.items() for label in new.labels]
            )
            example_rows.set_splits(
                connection, [(k, new.split) for k, old, new in after if new.split != old.split]
            )
            changed = sum(old != new for _, old, new in after)
            if changed:
                dataset_rows.touch(connection, dataset.id)
            summary = ChangeSummary(changed, len(after) - changed, errors)
            acknowledged.remember(connection, request_id, write, dataclasses.asdict(summary))
        return summary

    def split(self, name: str, plan: SplitPlan, request_id: str) -> int:
        """See core.dataset_ports.DatasetStore."""
        with self._database.write() as connection:
            dataset = dataset_rows.find(connection, name)
            write = f"SplitDataset {dataset.id}"
            before = acknowledged.recall(connection, request_id, write)
            if before is not None:
                return int(before)
            moves = assign(example_rows.members(connection, dataset.id), plan)
            example_rows.set_splits(connection, moves.items())
            if moves:
                dataset_rows.touch(connection, dataset.id)
            acknowledged.remember(connection, request_id, write, len(moves))
        return len(moves)

    def remove(self, name: str, sha256s: Sequence[str], request_id: str) -> int:
        """See core.dataset_ports.DatasetStore."""
        with self._files:
            with self._database.write() as connection:
                dataset = dataset_rows.find(connection, name)
                write = f"DeleteExamples {dataset.id}"
                before = acknowledged.recall(connection, request_id, write)
                if before is not None:
                    return int(before)
                found = example_rows.find(connection, dataset.id, sha256s)
                orphans = example_rows.delete(connection, found.values())
                if found:
                    size = sum(example.size_bytes for _, example in found.values())
                    dataset_rows.touch(connection, dataset.id, -size)
                acknowledged.remember(connection, request_id, write, len(found))
            self._blobs.discard(orphans)
        return len(found)

    def _add(
        self, connection: sa.Connection, dataset: Dataset, owner: str, messages: Sequence[UploadMessage]
    ) -> Sequence[Receipt]:
        candidates = [item for message in messages for item in message.candidates]
        found = example_rows.find(connection, dataset.id, (item.image.sha256 for item in candidates))
        there = {sha256: example for sha256, (_, example) in found.items()}
        new: list[Candidate] = []
        receipts = [_take(message, there, new) for message in messages]
        if new:
            size = sum(len(candidate.image.data) for candidate in new)
            check_stored(connection, self._quotas, owner, size)
            example_rows.insert(connection, dataset.id, new)
            dataset_rows.touch(connection, dataset.id, size)
        return receipts

    def _discard_unused(self, sha256s: Iterable[str]) -> None:
        with self._database.read() as connection:
            orphans = example_rows.unused(connection, sha256s)
        self._blobs.discard(orphans)


def _take(message: UploadMessage, there: dict[str, Example], new: list[Candidate]) -> Receipt:
    """Judges the candidates of a message against what is there, and adds those that are new to both."""
    errors, added = list(message.errors), 0
    for candidate in message.candidates:
        existing = there.get(candidate.image.sha256)
        if existing is None:
            there[candidate.image.sha256] = _example(candidate)
            new.append(candidate)
            added += 1
            continue
        try:
            check_repeat(existing, candidate.new)
        except ExampleError as error:
            errors.append(error.item(candidate.index, candidate.new.image.id))
    errors.sort(key=lambda error: error.index)
    return Receipt(message.first_index, message.count, added, message.count - added - len(errors), errors)


def _example(candidate: Candidate) -> Example:
    image, new = candidate.image, candidate.new
    return Example(
        image.sha256, new.labels, new.split, new.metadata_json, new.image.id,
        image.width, image.height, len(image.data),
    )  # fmt: skip


def _changed(
    found: Mapping[str, tuple[int, Example]], changes: Sequence[ExampleChange], *, multi_label: bool
) -> tuple[list[tuple[int, Example, Example]], list[ItemError]]:
    """Id, old and new state of each picture whose change is allowed; several of one add up in order."""
    now: dict[str, Example] = {}
    errors = []
    for index, change in enumerate(changes):
        try:
            if change.sha256 not in found:
                raise ExampleError(ExampleFault.NOT_FOUND, f"the dataset holds no picture {change.sha256}")
            old = now.get(change.sha256, found[change.sha256][1])
            labels = (
                old.labels if change.labels is None else check_labels(change.labels, multi_label=multi_label)
            )
            now[change.sha256] = dataclasses.replace(old, labels=labels, split=change.split or old.split)
        except ExampleError as error:
            errors.append(error.item(index, ""))
    return [(*found[sha256], new) for sha256, new in now.items()], errors


def _upload(dataset: Dataset) -> str:
    return f"UploadExamples {dataset.id}"


def _receipt(answer: dict[str, object]) -> Receipt:
    return Receipt(**{**answer, "errors": _errors(answer)})  # type: ignore[arg-type]  # as it was stored


def _errors(answer: Mapping[str, object]) -> list[ItemError]:
    return [ItemError(**error) for error in answer["errors"]]  # type: ignore[attr-defined]  # as it was stored
