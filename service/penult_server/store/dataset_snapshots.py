"""Snapshots of datasets: rows as lines, images as second names of the same files."""

from __future__ import annotations

import os
from pathlib import Path

from penult_server.core.datasets import ExampleFilter
from penult_server.core.disk_faults import disk_faults
from penult_server.core.errors import FailedPrecondition
from penult_server.core.snapshot import Snapshot, SnapshotExample, examples_file, image_file, to_line
from penult_server.store import dataset_rows, example_rows
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database

_ROWS = 1000
_ATTEMPTS = 5


class DatabaseSnapshots:
    """Implements core.dataset_ports.DatasetSnapshots.

    An image that the dataset drops later stays for the snapshot: a file lives as long as it has a name.
    """

    def __init__(self, database: Database, blobs: Blobs) -> None:
        """`blobs` and the snapshots' directories must be on one file system."""
        self._database = database
        self._blobs = blobs

    def take(self, name: str, directory: Path) -> None:
        """See core.dataset_ports.DatasetSnapshots."""
        with disk_faults():
            for _ in range(_ATTEMPTS):
                snapshot, missing = self._take(name, directory)
                # A file that is missing without a change is damage, and the job's to report.
                if not missing or self._revision(name) == snapshot.revision:
                    snapshot.write(directory)
                    return
        raise FailedPrecondition(
            "DATASET_CHANGES", f"dataset {name!r} keeps losing images", hint="try again once it is at rest"
        )

    def _take(self, name: str, directory: Path) -> tuple[Snapshot, bool]:
        """The rows of one moment; and whether files of them were not there any more."""
        count, after, missing = 0, 0, False
        with (
            self._database.read() as connection,
            open(examples_file(directory), "w", encoding="utf-8") as file,
        ):
            dataset = dataset_rows.find(connection, name)
            while rows := example_rows.page(connection, dataset.id, ExampleFilter(), after, _ROWS):
                for after, example in rows:  # noqa: B007 - the last one is where the next page starts
                    file.write(
                        to_line(
                            SnapshotExample(
                                example.sha256,
                                example.labels,
                                example.split,
                                example.id,
                                example.metadata_json,
                            )
                        )
                    )
                    missing |= not self._link(example.sha256, directory)
                count += len(rows)
        if not count:
            raise FailedPrecondition(
                "DATASET_EMPTY", f"dataset {name!r} has no examples", hint="upload some images first"
            )
        return Snapshot(name, dataset.revision, count, dataset.multi_label), missing

    def _link(self, sha256: str, directory: Path) -> bool:
        target = image_file(directory, sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._blobs.path(sha256), target)
        except FileExistsError:  # of an attempt before
            return True
        except FileNotFoundError:
            return False
        return True

    def _revision(self, name: str) -> int:
        with self._database.read() as connection:
            return dataset_rows.find(connection, name).revision
