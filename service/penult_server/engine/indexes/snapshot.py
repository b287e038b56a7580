"""An index to a file and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from penult_server.core.index_kinds import IndexSpec, SnapshotFacts
from penult_server.engine.indexes.build import Built, Facts, Held
from penult_server.engine.indexes.exact import PIECE_ROWS
from penult_server.engine.indexes.gpu import copy_to_gpu
from penult_server.engine.indexes.rows import ArrayBlock, Block, Rows, empty_rows
from penult_server.engine.indexes.snapshot_file import Reader, Writer, damaged, reading, writing
from penult_server.engine.indexes.structure import Structure, StructureBlock

_STRUCTURE_FACTS = ("size", "bytes", "effort", "rerank", "exact_scores", "selects")


def write(path: Path, held: Held) -> SnapshotFacts:
    """Writes an index, durably and in one step. Raises ResourceExhausted on a full disk."""
    with writing(path) as writer:
        write_parts(writer, held)
    return SnapshotFacts(writer.bytes, writer.digest().hex(), held.state.sequence)


def read(path: Path, spec: IndexSpec, folder: Path | None) -> Built:
    """What `write` wrote for this spec. Raises NotFound, or DataLoss for anything else."""
    with reading(path) as reader:
        found, built = read_parts(reader, folder)
        check_identity(found, spec)
    return built


def write_parts(writer: Writer, held: Held) -> None:
    """Appends an index to a file."""
    state, structure = held.state, held.state.structure
    blocks = [
        _describe(block, state.rows.end(number) - state.rows.starts[number])
        for number, block in enumerate(state.rows.blocks)
    ]
    writer.header(
        {
            "faiss": faiss.__version__,
            "spec": identity(held.spec),
            "sequence": state.sequence,
            "rows": state.rows.count,
            "blocks": blocks,
            "facts": dataclasses.asdict(held.facts),
            "structure": structure and {name: getattr(structure, name) for name in _STRUCTURE_FACTS},
        }
    )
    writer.array(state.keys)
    writer.array(state.alive)
    for described, block in zip(blocks, state.rows.blocks, strict=True):
        if isinstance(block, ArrayBlock):
            writer.array(block.values[: described["rows"]])
    if structure:
        writer.faiss_index(structure.index)


def read_parts(reader: Reader, folder: Path | None) -> tuple[Any, Built]:
    """The identity of the next index of a file, and the index."""
    header = reader.header()
    if header["faiss"] != faiss.__version__:
        raise damaged(f"FAISS {header['faiss']} wrote it, and this is {faiss.__version__}")
    return header["spec"], _read(reader, header, folder)


def identity(spec: IndexSpec) -> Any:
    """What two specs must share to share a snapshot, as JSON gives it back."""
    facts = dataclasses.asdict(spec)
    del facts["memory_bytes"]
    return json.loads(json.dumps(facts))


def check_identity(found: Any, spec: IndexSpec) -> None:
    """Raises DataLoss for a snapshot of another spec."""
    if found != identity(spec):
        raise damaged("it is of an index that is made otherwise")


def _describe(block: Block, count: int) -> dict[str, Any]:
    if isinstance(block, ArrayBlock):
        disk = isinstance(block.values, np.memmap)
        return {"rows": count, "dtype": block.values.dtype.name, "disk": disk}
    return {"rows": count, "dtype": ""}


def _read(reader: Reader, header: dict[str, Any], folder: Path | None) -> Built:
    dim = header["spec"]["dim"]
    keys = reader.array((header["rows"],), "int64")
    alive = reader.array((header["rows"],), "bool")
    blocks: list[Block | None] = []
    for described in header["blocks"]:
        place = folder if described.get("disk") else None
        blocks.append(_block(reader, described, dim, place) if described["dtype"] else None)
    structure = None
    if header["structure"]:
        index = reader.faiss_index()
        structure = Structure(index, **header["structure"], gpu=copy_to_gpu(index))
    rows = Rows(dim)
    for described, block in zip(header["blocks"], blocks, strict=True):
        if block is None:
            assert structure is not None
            block = StructureBlock(structure.index)
        rows.attach(block, described["rows"])
    facts = Facts(**header["facts"])
    device = structure.gpu.device if structure and structure.gpu else "cpu"
    return Built(rows, keys, alive, header["sequence"], structure, dataclasses.replace(facts, device=device))


def _block(reader: Reader, described: dict[str, Any], dim: int, folder: Path | None) -> ArrayBlock:
    """A block of an array, piece by piece, so that one for the disk never is in memory as a whole."""
    values = empty_rows((described["rows"], dim), described["dtype"], folder)
    for first in range(0, len(values), PIECE_ROWS):
        piece = values[first : first + PIECE_ROWS]
        piece[:] = reader.array(piece.shape, described["dtype"])
    return ArrayBlock(values)
