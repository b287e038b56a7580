from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penult_server.engine.indexes import rows as module
from penult_server.engine.indexes.rows import Rows

DIM = 16


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 64 * DIM * 4)


def numbered(first: int, last: int) -> np.ndarray:
    return np.repeat(np.arange(first, last, dtype=np.float32)[:, None], DIM, axis=1)


@pytest.mark.parametrize("disk", [False, True])
def test_a_view_stays_as_it_was(tmp_path: Path, disk: bool) -> None:
    rows = Rows(DIM, folder=tmp_path if disk else None)
    rows.append(numbered(0, 100))
    view = rows.view()
    rows.append(numbered(100, 300))
    assert view.count == 100
    assert len(rows) == 300
    chosen = np.array([99, 0, 64, 63, 64])
    np.testing.assert_array_equal(view.gather(chosen)[:, 0], chosen)
    np.testing.assert_array_equal(rows.view().gather(np.array([299, 128]))[:, 3], [299, 128])
    assert not list(tmp_path.iterdir())


def test_pieces_cover_a_range_in_order() -> None:
    rows = Rows(DIM)
    rows.append(numbered(0, 200))
    pieces = list(rows.view().parts(10, 190, 50))
    np.testing.assert_array_equal(np.concatenate([part for _, part in pieces])[:, 0], np.arange(10, 190))
    assert all(part[0, 0] == first and len(part) <= 50 for first, part in pieces)


def test_rows_from_a_seal_on_are_shared_not_copied() -> None:
    old = Rows(DIM)
    old.append(numbered(0, 70))
    sealed = old.seal()
    old.append(numbered(70, 150))
    new = Rows(DIM)
    new.append(numbered(0, 10))
    new.adopt(old.view(), sealed)
    new.append(numbered(150, 155))
    old.append(numbered(900, 905))
    np.testing.assert_array_equal(new.view().gather(np.arange(95))[:, 0], [*range(10), *range(70, 155)])
    with pytest.raises(ValueError, match="no block begins"):
        new.adopt(old.view(), 71)


def test_half_precision_rows_come_back_as_float32_at_half_the_memory() -> None:
    full, half = Rows(DIM), Rows(DIM, "float16")
    for rows in (full, half):
        rows.append(numbered(0, 64))
    assert half.bytes * 2 == full.bytes
    assert half.view().gather(np.array([3])).dtype == np.float32


def test_memory_that_is_not_written_does_not_count() -> None:
    rows = Rows(DIM)
    rows.append(numbered(0, 65))
    assert rows.bytes == 65 * DIM * 4


def test_a_failed_append_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(DIM)
    rows.append(numbered(0, 60))
    before = rows.view()

    def full() -> None:
        raise MemoryError

    monkeypatch.setattr(rows, "_open", full)
    with pytest.raises(MemoryError):
        rows.append(numbered(60, 100))
    monkeypatch.undo()
    assert rows.view() == before
    rows.append(numbered(60, 62))
    np.testing.assert_array_equal(rows.view().gather(np.arange(62))[:, 0], np.arange(62))
