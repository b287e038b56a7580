"""The language between a worker and the server: one JSON object a line, `{"type": …}` and its fields."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Mapping
from typing import Any

from penult_server.core.job_ports import Saved, WorkerMessage
from penult_server.core.jobs import JobError, LogLine, Metrics, Progress

MAX_TEXT = 4000
"""Characters of a log line or an error message; the rest is cut off."""


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """The worker is alive."""


Message = WorkerMessage | JobError | Beat
_TYPES: Mapping[str, type[Any]] = {
    "progress": Progress,
    "metrics": Metrics,
    "log": LogLine,
    "saved": Saved,
    "error": JobError,
    "beat": Beat,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}


def encode(message: Message) -> bytes:
    """One line."""
    if isinstance(message, LogLine):
        message = dataclasses.replace(message, text=message.text[:MAX_TEXT])
    elif isinstance(message, JobError):
        message = dataclasses.replace(message, message=message.message[:MAX_TEXT])
    return json.dumps({"type": _NAMES[type(message)], **dataclasses.asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line. One that is none becomes a log line: a worker may die while it writes."""
    try:
        fields = json.loads(line)
        message: Message = _TYPES[fields.pop("type")](**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return LogLine("warning", line.decode(errors="replace")[:MAX_TEXT])
    return message


class Channel:
    """The worker's end. Threads may share it."""

    def __init__(self, handle: int) -> None:
        """`handle`: the file descriptor of a pipe to the server."""
        self._handle = handle
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Writes its line; see `write`."""
        self.write(encode(message))

    def write(self, line: bytes) -> None:
        """Writes a line, and waits while the server is behind. Ends the process where there is no server."""
        left = memoryview(line)
        with self._lock:
            try:
                while left:
                    left = left[os.write(self._handle, left) :]
            except BrokenPipeError:
                os._exit(1)
