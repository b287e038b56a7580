"""Vectors in the order they came, in blocks that never move, so that a reader's view of them stays true."""

from __future__ import annotations

import bisect
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

RowType = Literal["float32", "float16"]
BLOCK_BYTES = 32 << 20
"""Size of a block. Memory that is not written yet costs nothing, so a large one is cheap in a small index."""


class Block(Protocol):
    """Some rows in a place of their own."""

    @property
    def bytes(self) -> int:
        """Memory it holds, besides the structure that it may be a part of."""
        ...

    def part(self, first: int, last: int) -> np.ndarray:
        """Rows first to last - 1, float32 (N, dim), contiguous. Not to be written to."""
        ...

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """Rows at any positions, float32 (N, dim), contiguous."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class ArrayBlock:
    """Rows in an array (capacity, dim) of float32 or float16, in memory or mapped from a file."""

    values: np.ndarray

    @property
    def bytes(self) -> int:
        """Bytes of the rows, where they are in memory."""
        return 0 if isinstance(self.values, np.memmap) else self.values.nbytes

    def part(self, first: int, last: int) -> np.ndarray:
        """See Block."""
        return np.ascontiguousarray(self.values[first:last], dtype=np.float32)

    def gather(self, positions: np.ndarray) -> np.ndarray:
        """See Block."""
        return self.values[positions].astype(np.float32, copy=False)


@dataclasses.dataclass(frozen=True, slots=True)
class RowsView:
    """Rows 0 to count - 1 as they were at one moment. `starts` holds the first row of each block."""

    blocks: tuple[Block, ...]
    starts: tuple[int, ...]
    count: int
    dim: int

    def end(self, number: int) -> int:
        """The row after the last of a block."""
        return min(self.starts[number + 1] if number + 1 < len(self.starts) else self.count, self.count)

    def block_of(self, rows: np.ndarray) -> np.ndarray:
        """The number of the block of each row."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def parts(self, first: int, last: int, most: int) -> Iterator[tuple[int, np.ndarray]]:
        """Rows first to last - 1 as (row, float32 array) pieces of at most `most` rows."""
        for number, block in enumerate(self.blocks):
            start = self.starts[number]
            begin, end = max(first, start), min(last, self.end(number))
            for piece in range(begin, end, most):
                yield piece, block.part(piece - start, min(piece + most, end) - start)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Some rows, float32 (N, dim), in their order."""
        if len(self.blocks) == 1:
            return self.blocks[0].gather(rows)
        gathered = np.empty((len(rows), self.dim), np.float32)
        numbers = self.block_of(rows)
        for number in np.unique(numbers):
            chosen = numbers == number
            gathered[chosen] = self.blocks[number].gather(rows[chosen] - self.starts[number])
        return gathered


class Rows:
    """Grows by appending. One writer at a time; what a view has seen is never written again."""

    def __init__(self, dim: int, row_type: RowType = "float32", folder: Path | None = None) -> None:
        """With `folder`, rows lie in files there that have no name and vanish with the process."""
        self._dim = dim
        self._type: Any = np.dtype(row_type)
        self._folder = folder
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._count = 0
        self._room = 0
        self._block_rows = max(64, BLOCK_BYTES // (dim * self._type.itemsize))

    def __len__(self) -> int:
        return self._count

    def append(self, vectors: np.ndarray) -> None:
        """Adds rows, float32 (N, dim): all or none."""
        blocks, count, room = len(self._blocks), self._count, self._room
        try:
            self._append(vectors)
        except BaseException:
            del self._blocks[blocks:], self._starts[blocks:]
            self._count, self._room = count, room
            raise

    def _append(self, vectors: np.ndarray) -> None:
        done = 0
        while done < len(vectors):
            if not self._room:
                self._open()
            taken = min(self._room, len(vectors) - done)
            block = self._blocks[-1]
            assert isinstance(block, ArrayBlock)
            at = self._count - self._starts[-1]
            block.values[at : at + taken] = vectors[done : done + taken]
            done += taken
            self._count += taken
            self._room -= taken

    def attach(self, block: Block, count: int) -> None:
        """Adds a block of `count` rows that is complete."""
        if count:
            self._blocks.append(block)
            self._starts.append(self._count)
            self._count += count
            self._room = 0

    def adopt(self, view: RowsView, first: int) -> None:
        """Shares the rows of another view from `first` on, which must begin a block there."""
        if first == view.count:
            return
        number = bisect.bisect_left(view.starts, first)
        if view.starts[number] != first:
            raise ValueError(f"no block begins at row {first}")
        for later in range(number, len(view.blocks)):
            block, count = view.blocks[later], view.end(later) - view.starts[later]
            self.attach(ArrayBlock(block.values[:count]) if isinstance(block, ArrayBlock) else block, count)

    def seal(self) -> int:
        """Makes the next row begin a new block, and says which row that is."""
        self._room = 0
        return self._count

    def view(self) -> RowsView:
        """The rows as they are now."""
        return RowsView(tuple(self._blocks), tuple(self._starts), self._count, self._dim)

    @property
    def bytes(self) -> int:
        """Memory that the rows hold, without what of the last block is not written yet."""
        unwritten = self._room * self._dim * self._type.itemsize if self._folder is None else 0
        return sum(block.bytes for block in self._blocks) - unwritten

    def _open(self) -> None:
        values = empty_rows((self._block_rows, self._dim), self._type, self._folder)
        self._blocks.append(ArrayBlock(values))
        self._starts.append(self._count)
        self._room = self._block_rows


def empty_rows(shape: tuple[int, int], dtype: Any, folder: Path | None) -> np.ndarray:
    """An array in memory, or in a file of `folder` that has no name."""
    if folder is None:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(shape[0] * shape[1] * np.dtype(dtype).itemsize)
        return np.memmap(file, dtype, "r+", shape=shape)
