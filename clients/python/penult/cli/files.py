"""Files that hold features: NumPy's .npz and .npy, and Parquet where pyarrow is installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from penult._whole_file import WholeFile
from penult.errors import InvalidArgument
from penult.types import FeatureBatch


def check_destination(path: Path) -> None:
    """Raises InvalidArgument where `save` could not work, before time is spent on features."""
    if path.suffix.lower() not in _WRITERS:
        raise InvalidArgument(
            f"cannot write {path.name!r}", reason="OUT_UNKNOWN", hint=f"use {', '.join(_WRITERS)}"
        )
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InvalidArgument(
            "a .parquet file needs pyarrow", reason="OUT_UNKNOWN", hint="pip install pyarrow"
        )
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidArgument(
            f"cannot write to {str(path)!r}",
            reason="OUT_UNWRITABLE",
            hint="name a file in a folder that exists",
        )


def save(path: Path, batch: FeatureBatch) -> None:
    """Writes the whole file or nothing. The suffix decides the format.

    .npz holds the arrays `features` (N, dim), `paths` (N,), `fingerprint`, `backbone` and `errors`, with
    the fields index, path, reason and message; none needs pickle. .npy holds the features alone.
    .parquet has the columns path, features and error, and fingerprint and backbone as metadata.
    """
    with WholeFile(path) as whole:
        _WRITERS[path.suffix.lower()](whole.file, batch)


def _npz(file: BinaryIO, batch: FeatureBatch) -> None:
    np.savez(
        file,
        features=batch.features,
        paths=np.array(batch.names, dtype=np.str_),
        fingerprint=np.array(batch.fingerprint),
        backbone=np.array(batch.backbone),
        errors=_errors(batch),
    )


def _npy(file: BinaryIO, batch: FeatureBatch) -> None:
    np.save(file, batch.features, allow_pickle=False)


def _parquet(file: BinaryIO, batch: FeatureBatch) -> None:
    import pyarrow
    import pyarrow.parquet

    # By path, not by position: positions count skipped images, which have no row.
    failed = {error.name: f"{error.message} [{error.reason}]" for error in batch.errors}
    values = pyarrow.array(batch.features.reshape(-1))
    table = pyarrow.table(
        {
            "path": pyarrow.array(batch.names, pyarrow.string()),
            "features": pyarrow.FixedSizeListArray.from_arrays(values, batch.features.shape[1]),
            "error": pyarrow.array([failed.get(name) for name in batch.names], pyarrow.string()),
        },
        metadata={"fingerprint": batch.fingerprint, "backbone": batch.backbone},
    )
    pyarrow.parquet.write_table(table, file)


def _errors(batch: FeatureBatch) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    rows = [(error.index, error.name, error.reason, error.message) for error in batch.errors]
    widths = [max((len(str(row[column])) for row in rows), default=1) or 1 for column in (1, 2, 3)]
    fields = [("index", "<i8")]
    fields += [
        (name, f"<U{width}") for name, width in zip(("path", "reason", "message"), widths, strict=True)
    ]
    return np.array(rows, dtype=fields)


_WRITERS: dict[str, Callable[[BinaryIO, FeatureBatch], None]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".parquet": _parquet,
}
