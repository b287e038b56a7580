"""The contract with whatever counts: instruments by name, with the units and suffixes of Prometheus.

Who has something to count takes a `Meter`, asks it for instruments once, and uses them from any thread;
each use costs a microsecond or two, so it happens once a call, an image or a batch. What only has a present
value is a gauge, read when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for durations, from a decoded thumbnail to a slow call."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Counter(Protocol):
    """Only grows. Its name ends in `_total`."""

    def add(self, amount: float = 1.0, /, *labels: str) -> None:
        """Counts, with a value for each label."""
        ...


class Histogram(Protocol):
    """How often values were how large."""

    def observe(self, value: float, /, *labels: str) -> None:
        """Adds one value, with a value for each label."""
        ...


class Meter(Protocol):
    """Makes instruments. A name is used once."""

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """One that counts from 0."""
        ...

    def histogram(
        self, name: str, text: str, bounds: Sequence[float] = SECONDS, labels: Sequence[str] = ()
    ) -> Histogram:
        """One with these upper bounds of its buckets."""
        ...

    def gauge(
        self, name: str, text: str, read: Callable[[], float | Mapping[str, float]], label: str = ""
    ) -> None:
        """A present value, or one for each value of `label`; `read` is called from another thread."""
        ...

    def total(
        self, name: str, text: str, read: Callable[[], float | Mapping[str, float]], label: str = ""
    ) -> None:
        """The same for a value that somebody counts already; its name ends in `_total`."""
        ...


class _Nothing:
    """Every instrument of NO_METER."""

    def add(self, amount: float = 1.0, /, *labels: str) -> None:
        """See Counter."""

    def observe(self, value: float, /, *labels: str) -> None:
        """See Histogram."""


class _NoMeter:
    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return _Nothing()

    def histogram(
        self, name: str, text: str, bounds: Sequence[float] = SECONDS, labels: Sequence[str] = ()
    ) -> Histogram:
        return _Nothing()

    def gauge(
        self, name: str, text: str, read: Callable[[], float | Mapping[str, float]], label: str = ""
    ) -> None:
        return None

    total = gauge


NO_METER: Meter = _NoMeter()
"""Where nobody looks."""
