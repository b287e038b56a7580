"""An index with retrieval steps to one file and back: both of its indexes, and what the steps learned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from penult_server.core.index_kinds import IndexSpec, SnapshotFacts
from penult_server.engine.indexes import snapshot
from penult_server.engine.indexes.build import Built, Held
from penult_server.engine.indexes.snapshot_file import reading, writing
from penult_server.engine.retrieval.base import Chain, Fitted, make_steps


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """What a file holds. `dim` is the length of the changed vectors."""

    originals: Built
    changed: Built
    chain: Chain
    learned_from: int
    dim: int


def write(
    path: Path, spec: IndexSpec, originals: Held, changed: Held, chain: Chain, learned_from: int
) -> SnapshotFacts:
    """Writes all of it, durably and in one step."""
    learned = [
        None if fitted is None else {name: [array.shape, array.dtype.name] for name, array in fitted.items()}
        for fitted in chain.fitted
    ]
    with writing(path) as writer:
        writer.header({"spec": snapshot.identity(spec), "learned": learned, "learned_from": learned_from})
        for fitted in chain.fitted:
            for array in (fitted or {}).values():
                writer.array(array)
        snapshot.write_parts(writer, originals)
        snapshot.write_parts(writer, changed)
    return SnapshotFacts(writer.bytes, writer.digest().hex(), originals.state.sequence)


def read(path: Path, spec: IndexSpec, folder: Path | None) -> Loaded:
    """What `write` wrote for this spec. Raises NotFound, or DataLoss for anything else."""
    steps = make_steps(spec)
    with reading(path) as reader:
        header = reader.header()
        snapshot.check_identity(header["spec"], spec)
        learned: list[Fitted | None] = []
        for described in header["learned"]:
            if described is None:
                learned.append(None)
                continue
            learned.append(
                {name: reader.array(tuple(shape), dtype) for name, (shape, dtype) in described.items()}
            )
        _, originals = snapshot.read_parts(reader, folder)
        inner, changed = snapshot.read_parts(reader, folder)
    return Loaded(originals, changed, Chain(steps, learned), header["learned_from"], inner["dim"])
