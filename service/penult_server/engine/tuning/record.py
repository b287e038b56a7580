"""The record of a study: one JSON object a line, durable before anything follows from it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from penult_server.core.search_space import Space, from_json, to_json
from penult_server.core.tuning import (
    EpochDone,
    StageBegan,
    Study,
    TrialBegan,
    TrialEnded,
    TrialState,
    TuningEvent,
    TuningPlan,
)

_TYPES: dict[str, type[Any]] = {kind.type: kind for kind in (StageBegan, TrialBegan, EpochDone, TrialEnded)}


class Record:
    """Appends events to a file. What a crash left half written at its end is cut off."""

    def __init__(self, file: Path) -> None:
        """Opens the file, or makes it."""
        whole = b"".join(_whole_lines(file))
        self._file = open(file, "ab")  # noqa: SIM115 - open for as long as the study
        self._file.truncate(len(whole))

    def append(self, event: TuningEvent) -> None:
        """It is on the disk after this. Raises OSError where that is full."""
        values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        if isinstance(event, StageBegan):
            values["space"] = to_json(event.space)
        self._file.write(json.dumps({"type": event.type, **values}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more events."""
        self._file.close()


def read_record(file: Path) -> list[TuningEvent]:
    """Every event, in order; none where there is no file."""
    return [_event(json.loads(line)) for line in _whole_lines(file)]


def study_of(space: Space, file: Path) -> Study:
    """The study that a record tells of, to look at."""
    study = Study(TuningPlan(space, trials=0))
    for event in read_record(file):
        study.apply(event)
    return study


def _whole_lines(file: Path) -> list[bytes]:
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines


def _event(values: dict[str, Any]) -> TuningEvent:
    kind = _TYPES[values.pop("type")]
    if kind is StageBegan:
        values["space"] = from_json(values["space"])
    if kind is TrialEnded:
        values["state"] = TrialState(values["state"])
    event: TuningEvent = kind(**values)
    return event
