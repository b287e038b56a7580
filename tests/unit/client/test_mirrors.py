"""The clients for asyncio have the methods of the others, with the same arguments."""

from __future__ import annotations

import inspect

import pytest

import penult
from penult.aio_indexes import AsyncIndexes
from penult.indexes import Indexes


@pytest.mark.parametrize(("one", "other"), [(Indexes, AsyncIndexes), (penult.Index, penult.AsyncIndex)])
def test_methods_agree(one: type, other: type) -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(one) == methods(other)
