"""The curves as TensorBoard event files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


def write_events(rows: Sequence[Mapping[str, Any]], directory: Path) -> None:
    """Writes one event file from the rows of `curves.read_rows`; it takes the place of an earlier one."""
    for old in directory.glob("events.out.tfevents.*"):
        old.unlink()
    writer = EventFileWriter(str(directory))
    try:
        for row in rows:
            group = "epoch" if "epoch" in row else "step"
            values = [
                Summary.Value(tag=f"{group}/{name}", simple_value=value) for name, value in _scalars(row)
            ]
            writer.add_event(
                Event(wall_time=row.get("time", 0.0), step=row["step"], summary=Summary(value=values))
            )
    finally:
        writer.close()


def _scalars(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if name in ("step", "time"):
            continue
        if isinstance(value, Mapping):
            for inner, number in _scalars(value):
                yield f"{name}/{inner}", number
        elif isinstance(value, int | float):
            yield name, float(value)
