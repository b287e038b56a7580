"""A backup: the rows as they were at one moment, and all files that they name, while a server works on.

It holds the rows as a file of SQLite, whatever the database is, and can be restored to either kind.

A file is durable before the row that names it. So files are copied, then the database, then the files that
have come meanwhile; a file which a row names and which was made and removed between two looks is the one
thing that can be missing, and is looked for at the end: then it is all done again. Files that no row names
do no harm, a server clears them away when it starts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penult_server.core.errors import DataLoss, FailedPrecondition, NotFound, Unavailable
from penult_server.store.copied_rows import copy_rows
from penult_server.store.database import FILE, Database
from penult_server.store.files import rename_durably, sync_directory
from penult_server.store.home import MARK, check_kind, check_pair, promise
from penult_server.store.postgresql import PostgreSql
from penult_server.store.sqlite import damage

MANIFEST = "backup.json"
# What can be made again (features, downloads, working copies of vectors), and what is being written.
_LEFT_OUT = frozenset(
    {"cache", "hub", "index-vectors", "index-archives", "model-archives", ".incoming", ".lock", MARK}
)
_TRIES = 5
_BLOCK = 1 << 20


def backup(data_dir: Path, target: Path, version: str, url: str | None = None) -> dict[str, Any]:
    """Makes the folder `target`, at once and as a whole; says what is in it.

    `url` is that of the database, None where it is the file in `data_dir`.

    Raises:
        NotFound: there is no database in `data_dir`, nor one that belongs to it.
        FailedPrecondition: there is something at `target` already; or the database is not that of `data_dir`,
            or of another version.
        Unavailable: files vanished faster than they were copied, or the database cannot be reached.
    """
    check_kind(data_dir, url)
    if not (data_dir / (FILE if url is None else MARK)).is_file():
        raise NotFound("NO_DATA_DIR", "there is no server's database there", hint="give its --data-dir")
    _check_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _workspace(target) as workspace:
        for _ in range(_TRIES):
            _copy_files(data_dir, workspace)
            if url is None:
                _copy_database(data_dir / FILE, workspace / FILE)
            else:
                _copy_rows(data_dir, url, workspace / FILE)
            _copy_files(data_dir, workspace)
            if not _missing(workspace):
                break
        else:
            raise Unavailable(
                "BACKUP_OVERTAKEN", "too much is deleted while the backup is made", hint="try it again later"
            )
        files = {str(path.relative_to(workspace)): _seal(path) for path in _files(workspace)}
        manifest = {"version": version, "made": time.time(), "files": files}
        (workspace / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        _seal(workspace / MANIFEST)
        for folder, _, _ in os.walk(workspace):
            sync_directory(Path(folder))
        rename_durably(workspace, target)
    return manifest


def restore(source: Path, data_dir: Path, url: str | None = None) -> dict[str, Any]:
    """Makes `data_dir` of a backup after checking every byte of it; says what is in it.

    With `url`, the rows go into that database, which has to be empty.

    Raises:
        NotFound: there is no backup at `source`.
        DataLoss: it is damaged.
        FailedPrecondition: there is something at `data_dir` or in the database already.
        Unavailable: the database cannot be reached.
    """
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotFound(
            "NO_BACKUP", "there is no whole backup there", hint="name the folder of one"
        ) from error
    _check_free(data_dir)
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _workspace(data_dir) as workspace:
        for name, sha256 in manifest["files"].items():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # then it is damaged, as the check finds
                shutil.copy2(source / name, workspace / name)
            if not (workspace / name).exists() or _seal(workspace / name) != sha256:
                raise DataLoss(
                    "BACKUP_DAMAGED", f"{name} of the backup is damaged", hint="take another backup"
                )
        if damage(workspace / FILE) or _missing(workspace):
            raise DataLoss("BACKUP_DAMAGED", "the backup's database is damaged", hint="take another backup")
        if url is not None:
            _move_rows(workspace, url)
        for folder, _, _ in os.walk(workspace):
            sync_directory(Path(folder))
        if data_dir.exists():
            data_dir.rmdir()  # empty, as was checked
        rename_durably(workspace, data_dir)
    return manifest


def _check_free(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FailedPrecondition(
            "TARGET_EXISTS",
            "there is something at the target already",
            hint="name a folder that is not there",
        )


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """Beside the target, and gone if it does not become it."""
    workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _files(directory: Path) -> Iterator[Path]:
    """All files below it that are to be kept, whatever comes and goes meanwhile."""
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        yield from (Path(folder, name) for name in names if name not in _LEFT_OUT)


def _copy_files(data_dir: Path, workspace: Path) -> None:
    """Those that are not there yet, or were other ones."""
    for path in _files(data_dir):
        if path.parent == data_dir and path.name.startswith(FILE):
            continue
        copy = workspace / path.relative_to(data_dir)
        with contextlib.suppress(FileNotFoundError):  # removed before it was its turn
            known = path.stat()
            if copy.exists() and (copy.stat().st_size, copy.stat().st_mtime_ns) == (
                known.st_size,
                known.st_mtime_ns,
            ):
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def _copy_database(source: Path, target: Path) -> None:
    """In one read transaction, which holds nobody up."""
    target.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(source.absolute().as_uri() + "?mode=ro", uri=True)) as original,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, whatever happens to its neighbours


def _copy_rows(data_dir: Path, url: str, target: Path) -> None:
    """The same from a database elsewhere."""
    target.unlink(missing_ok=True)
    with (
        contextlib.closing(Database(PostgreSql(url), migrate=False)) as original,
        contextlib.closing(Database(target)) as copy,
        original.read() as source,
        copy.write() as rows,
    ):
        check_pair(data_dir, source)
        copy_rows(source, rows)
    with contextlib.closing(sqlite3.connect(target)) as file:
        file.execute("PRAGMA journal_mode = DELETE")


def _move_rows(directory: Path, url: str) -> None:
    """From the file to a database elsewhere, which the directory then waits for."""
    dialect = PostgreSql(url)
    with contextlib.closing(dialect), dialect.sole() as held:
        mark = promise(held)
        with (
            contextlib.closing(Database(directory / FILE)) as original,
            original.read() as source,
            Database(dialect).write() as rows,
        ):
            copy_rows(source, rows)
    for file in directory.glob(f"{FILE}*"):
        file.unlink()
    (directory / MARK).write_text(mark, encoding="utf-8")
    _seal(directory / MARK)


def _missing(directory: Path) -> list[Path]:
    """Files that the database names and the directory lacks."""
    with contextlib.closing(sqlite3.connect(directory / FILE)) as database:
        named = [
            directory / "models" / row[0]
            for row in database.execute("SELECT artifact FROM model_versions WHERE artifact <> ''")
        ]
        for table, column, folder in (
            ("examples", "sha256", "blobs"),
            ("index_items", "image_sha256", "index-images"),
        ):
            rows = database.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL")
            named += [directory / folder / key.hex()[:2] / key.hex()[2:] for (key,) in rows]
    return [path for path in named if not path.exists()]


def _seal(path: Path) -> str:
    """Makes a file durable, and gives its sha256."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        os.fsync(file.fileno())
    return digest.hexdigest()
