"""The contract with whatever traces: one trace for a call, with the steps that its images go through.

Steps are recorded when they have ended, with how long they took, so that threads need not carry a context.
Without a tracer there is no current trace, and a step costs one comparison.
"""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from typing import Protocol

Trace = object
_current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("penult_trace", default=None)


class Tracer(Protocol):
    """Sends traces somewhere. Used from any thread."""

    def begin(self, name: str, headers: Mapping[str, str]) -> Trace:
        """The trace of a call, below that of a caller who says so in `headers` (W3C trace context)."""
        ...

    def end(self, trace: Trace, **attributes: str) -> None:
        """The call has ended."""
        ...

    def record(self, trace: Trace, step: str, seconds: float, **attributes: int | float | str) -> None:
        """A step of it has ended just now."""
        ...


def current_trace() -> Trace | None:
    """That of the call which this task works for; None where nothing is traced."""
    return _current.get()


def follow(trace: Trace) -> None:
    """Makes it current for this task and those that it starts."""
    _current.set(trace)
