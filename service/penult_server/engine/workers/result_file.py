"""A worker's result as a file of its directory: whole or not there, and still there after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAME = "result.json"


def write_result(directory: Path, result: Mapping[str, Any]) -> None:
    """Writes it durably. What the worker wrote into files before must be synced by its kind."""
    unfinished = directory / f"{_NAME}.part"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(directory / _NAME)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_result(directory: Path) -> Mapping[str, Any] | None:
    """The result, None where there is none."""
    try:
        result: Mapping[str, Any] = json.loads((directory / _NAME).read_bytes())
    except FileNotFoundError:
        return None
    return result
