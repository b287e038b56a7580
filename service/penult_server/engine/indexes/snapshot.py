"""An index to a file and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from penult_server.core.index_kinds import IndexSpec, SnapshotFacts
from penult_server.engine.indexes.build import Built, Facts
from penult_server.engine.indexes.rows import ArrayBlock, Rows
from penult_server.engine.indexes.snapshot_file import Reader, Writer, damaged, reading, writing
from penult_server.engine.indexes.state import State


def write(path: Path, spec: IndexSpec, state: State, facts: Facts) -> SnapshotFacts:
    """Writes a state, durably and in one step. Raises ResourceExhausted on a full disk."""
    with writing(path) as writer:
        _write(writer, spec, state, facts)
    return SnapshotFacts(writer.bytes, writer.digest().hex(), state.sequence)


def read(path: Path, spec: IndexSpec, folder: Path | None) -> Built:
    """What `write` wrote for this spec. Raises NotFound, or DataLoss for anything else."""
    with reading(path) as reader:
        header = reader.header()
        if header["faiss"] != faiss.__version__:
            raise damaged(f"FAISS {header['faiss']} wrote it, and this is {faiss.__version__}")
        if header["spec"] != _identity(spec):
            raise damaged("it is of an index that is made otherwise")
        return _read(reader, header, spec, folder)


def _write(writer: Writer, spec: IndexSpec, state: State, facts: Facts) -> None:
    blocks: list[dict[str, Any]] = []
    for number, block in enumerate(state.rows.blocks):
        assert isinstance(block, ArrayBlock)
        blocks.append(
            {
                "rows": state.rows.end(number) - state.rows.starts[number],
                "dtype": block.values.dtype.name,
                "disk": isinstance(block.values, np.memmap),
            }
        )
    writer.header(
        {
            "faiss": faiss.__version__,
            "spec": _identity(spec),
            "sequence": state.sequence,
            "rows": state.rows.count,
            "blocks": blocks,
            "facts": dataclasses.asdict(facts),
        }
    )
    writer.array(state.keys)
    writer.array(state.alive)
    for described, block in zip(blocks, state.rows.blocks, strict=True):
        assert isinstance(block, ArrayBlock)
        writer.array(block.values[: described["rows"]])


def _read(reader: Reader, header: dict[str, Any], spec: IndexSpec, folder: Path | None) -> Built:
    keys = reader.array((header["rows"],), "int64")
    alive = reader.array((header["rows"],), "bool")
    rows = Rows(spec.dim)
    for block in header["blocks"]:
        values = reader.array((block["rows"], spec.dim), block["dtype"])
        rows.attach(ArrayBlock(values), block["rows"])
    return Built(rows, keys, alive, header["sequence"], None, Facts(**header["facts"]))


def _identity(spec: IndexSpec) -> Any:
    """What two specs must share to share a snapshot, as JSON gives it back."""
    facts = dataclasses.asdict(spec)
    del facts["memory_bytes"]
    return json.loads(json.dumps(facts))
