"""The same servers as in the end-to-end tests, and a way to say what was done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import channel, server, start_server

__all__ = ["channel", "count", "server", "start_server"]


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """`count(kills=3, lost=0)`: what a test did and what was lost, for the summary at the end of the run."""

    def add(**numbers: int) -> None:
        for what, number in numbers.items():
            record_property(what.replace("_", " "), number)

    return add
