"""The same tests on every database that Penult works with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import Cluster, Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place for a new database, of each kind in turn."""
    if request.param == "sqlite":
        return Place(tmp_path / "penult.db")
    cluster: Cluster = request.getfixturevalue("postgresql")
    return Place(cluster.clean())


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same for one that nothing was done with yet."""
    if request.param == "sqlite":
        return Place(tmp_path / "penult.db")
    cluster: Cluster = request.getfixturevalue("postgresql")
    return Place(cluster.new())
