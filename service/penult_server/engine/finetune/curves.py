"""The curves of a run: one JSON object a line, for every step and for every epoch."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penult_server.core.diagnosis import Curves
from penult_server.core.finetune import CURVES
from penult_server.engine.workers.task import Task

_SECONDS_BETWEEN = 0.5
_UNMEASURED = float("nan")


class CurveFile:
    """Appends to `curves.jsonl`, and streams a thinned copy to whoever watches the job."""

    def __init__(self, directory: Path, step: int, task: Task) -> None:
        """Goes on after `step` steps: what a lost run wrote beyond them comes again, and is dropped."""
        self._path = directory / CURVES
        self._task = task
        self._last = 0.0
        # A run that starts again writes the row of step 0 again too.
        kept = [row for row in read_rows(self._path) if row["step"] <= step] if step else []
        part = self._path.with_suffix(".part")
        part.write_text("".join(_line(row) for row in kept), encoding="utf-8")
        part.rename(self._path)
        # By lines, for whoever draws them meanwhile.
        self._file = open(self._path, "a", 1, encoding="utf-8")  # noqa: SIM115 - open for as long as the run

    def start(self, accuracy: float, loss: float) -> None:
        """Validation accuracy and loss of the linear probe that training starts from."""
        values = {"probe_accuracy": accuracy, "probe_validation_loss": loss}
        self._file.write(_line({"step": 0, "time": time.time(), **values}))

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Values of the step that made it `step` steps."""
        self._file.write(_line({"step": step, "time": time.time(), **values}))
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN:
            self._last = now
            self._task.metrics(_numbers(values), step)

    def epoch(self, step: int, values: Mapping[str, Any]) -> None:
        """Values of an epoch that ended after `step` steps."""
        self._file.write(_line({"step": step, "time": time.time(), **values}))
        self._task.metrics(_numbers(values), step)
        self.flush()

    def flush(self) -> None:
        """What was written is on the disk after this."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more rows."""
        self._file.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Every whole row; the last one may be half of one after a crash."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def to_curves(rows: list[dict[str, Any]], validation_count: int) -> Curves:
    """The arrays that a diagnosis is made from."""
    steps = [row for row in rows if "loss" in row]
    epochs = [row for row in rows if "epoch" in row]
    probe = next((row for row in rows if "probe_accuracy" in row), None)

    def column(of: list[dict[str, Any]], name: str) -> np.ndarray:
        values = [row.get(name) for row in of]
        return np.array([_UNMEASURED if value is None else value for value in values], float)

    return Curves(
        loss=column(steps, "loss"),
        factor=column(steps, "factor"),
        train_accuracy=column(epochs, "train_accuracy"),
        accuracy=column(epochs, "accuracy"),
        validation_loss=column(epochs, "validation_loss"),
        validation_count=validation_count,
        start=None if probe is None else (probe["probe_accuracy"], probe["probe_validation_loss"]),
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Flat and finite, as metrics of a job are."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update({f"{name}/{inner}": number for inner, number in _numbers(value).items()})
        elif isinstance(value, int | float) and np.isfinite(value):
            found[name] = float(value)
    return found


def _line(row: Mapping[str, Any]) -> str:
    """JSON has no NaN: what was not finite is null."""
    clean = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}
    return json.dumps(clean) + "\n"
