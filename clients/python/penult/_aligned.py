"""What is said of each image, read along with the images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from penult.errors import InvalidArgument

_END = object()


class Aligned:
    """Values for images one by one; `used` counts the images so far."""

    def __init__(self, count: int | None) -> None:
        """`count`: images, where it is known."""
        self.used = 0
        self._count = count
        self._lengths: dict[str, int] = {}

    def each(self, kind: str, value: Any) -> Iterator[Any]:
        """One value an image: the same for all where a single one is given.

        Raises InvalidArgument where the numbers are known not to fit; the iterator raises it where an image
        has nothing left for it.
        """
        if value is None or isinstance(value, str | Mapping):
            return itertools.repeat(value)
        if hasattr(value, "__len__"):
            self._lengths[kind] = len(value)
            if self._count not in (None, len(value)):
                raise wrong_count(kind, f"{len(value)} for {self._count} images")
        return _until_short(kind, iter(value))

    def check_used(self) -> None:
        """Raises InvalidArgument where more was given than there were images: it was meant otherwise."""
        for kind, count in self._lengths.items():
            if count != self.used:
                raise wrong_count(kind, f"{count} for {self.used} images")


def wrong_count(kind: str, problem: str) -> InvalidArgument:
    """What callers hear whose numbers do not fit."""
    return InvalidArgument(
        f"{kind}: {problem}",
        reason="COUNT_MISMATCH",
        hint=f"give one of {kind} for each image, or one for all",
    )


def _until_short(kind: str, values: Iterator[Any]) -> Iterator[Any]:
    while (value := next(values, _END)) is not _END:
        yield value
    raise wrong_count(kind, "fewer than images")
