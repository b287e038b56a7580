"""Kill -9 at random moments under mixed load: every acknowledged write of an index is there, and no other."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penult
from tests import index_victim
from tests.e2e.conftest import running_server
from tests.index_items import vector
from tests.index_victim import WORKERS, State, Step

KILLS = 50
PATIENCE = 120
"""Seconds for a process to start on a machine that does other things."""


class Truth:
    """What was acknowledged, and what was under way, by worker."""

    def __init__(self) -> None:
        self.states: list[State] = [{} for _ in range(WORKERS)]
        self.under_way: list[Step | None] = [None] * WORKERS
        self.acknowledged = 0

    def hear(self, message: tuple[Any, ...]) -> None:
        """Follows what the process says."""
        kind, step = message
        if kind == "try":
            self.under_way[step.worker] = step
        else:
            self.states[step.worker] = step.applied(self.states[step.worker])
            self.under_way[step.worker] = None
            self.acknowledged += 1

    def check(self, found: State) -> None:
        """Each worker's items are those acknowledged, with the write under way as a whole or not at all."""
        for worker, (state, step) in enumerate(zip(self.states, self.under_way, strict=True)):
            mine = {key: seed for key, seed in found.items() if key.startswith(f"{worker}-")}
            allowed = [state] if step is None else [state, step.applied(state)]
            assert mine in allowed
            self.states[worker], self.under_way[worker] = mine, None
        assert sum(map(len, self.states)) == len(found)


@pytest.mark.slow
def test_acknowledged_writes_survive_kills(tmp_path: Path, count: Callable[..., None]) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.index_victim"])
    rng, truth, sources = random.Random(7), Truth(), []
    older = tmp_path / "older"
    for number in range(KILLS + 1):
        pipe, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=index_victim.run, args=(tmp_path / "data", theirs, number), daemon=True
        )
        (tmp_path / "data").mkdir(exist_ok=True)
        process.start()
        theirs.close()
        try:
            assert pipe.poll(PATIENCE)
            _, source, found = pipe.recv()
            truth.check(found)
            sources.append(source)
            # Sometimes in the middle of its first writes, sometimes long after.
            for _ in range(0 if number == KILLS else rng.choice((1, 3, 20, 60))):
                assert pipe.poll(PATIENCE)
                truth.hear(pipe.recv())
        finally:
            process.kill()
            process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
        with contextlib.suppress(EOFError):
            while True:
                truth.hear(pipe.recv())
        pipe.close()
        spoil(tmp_path / "data" / "indexes", older, rng)
    assert truth.acknowledged > KILLS
    assert "snapshot" in sources
    assert any("rebuilt" in source for source in sources)
    count(kills=KILLS, acknowledged=truth.acknowledged, lost=0)


def spoil(folder: Path, older: Path, rng: random.Random) -> None:
    """Does to the snapshot file, now and then, what disks and people do."""
    files = sorted(folder.glob("*.snapshot"))
    if not files:
        return
    file, deed = files[-1], rng.randrange(8)
    if deed == 0:
        file.unlink()
    elif deed == 1:
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2)
    elif deed == 2:
        data = bytearray(file.read_bytes())
        data[rng.randrange(len(data))] ^= 1
        file.write_bytes(data)
    elif deed == 3 and older.exists():
        shutil.copy(older, file)
    elif deed == 4:
        shutil.copy(file, older)


@pytest.mark.slow
def test_the_server_keeps_what_it_acknowledged(tmp_path: Path, count: Callable[..., None]) -> None:
    rng, numbers = random.Random(3), iter(range(1 << 20))
    known: dict[str, int] = {}
    for kill_after in (2, 12, 25):
        with running_server(tmp_path / "data", "--no-allow-download", ready=False) as server:
            client = penult.Client(server.target, timeout=60)
            names = [made.name for made in client.indexes.list()]
            index = client.indexes.get("a") if names else client.indexes.create("a", dim=4)
            check(index, known, {}, set())
            pending: dict[str, int] = {}
            removing: set[str] = set()
            timer = threading.Timer(kill_after / 20, server.process.send_signal, (signal.SIGKILL,))
            timer.start()
            with contextlib.suppress(penult.Unavailable, penult.Internal, penult.Cancelled):
                while True:
                    pending, removing = {}, set()
                    if known and rng.random() < 0.3:
                        removing = set(rng.sample(sorted(known), min(2, len(known))))
                        index.remove(removing)
                        known = {key: seed for key, seed in known.items() if key not in removing}
                    else:
                        ids = [*rng.sample(sorted(known), min(1, len(known))), f"n{next(numbers)}"]
                        pending = {key: next(numbers) for key in ids}
                        put(index, pending)
                        known |= pending
            timer.join()
            assert server.process.wait(60) == -signal.SIGKILL
            client.close()
        with running_server(tmp_path / "data", "--no-allow-download", ready=False) as server:
            with penult.Client(server.target, timeout=60) as client:
                known = check(client.indexes.get("a"), known, pending, removing)
            assert server.terminate() == 0
    assert known
    count(kills=3, items=len(known), lost=0)


def put(index: penult.Index, items: dict[str, int]) -> None:
    rows = np.stack([vector(seed) for seed in items.values()])
    index.upsert(vectors=rows, ids=list(items), metadata=[{"seed": seed} for seed in items.values()])


def check(
    index: penult.Index, known: dict[str, int], pending: dict[str, int], removing: set[str]
) -> dict[str, int]:
    """Exactly what was acknowledged is there, with the last write as a whole or not at all."""
    found = {item.id: item.metadata["seed"] for item in index.items()}
    without = {key: seed for key, seed in known.items() if key not in removing}
    assert found in (known, {**known, **pending}, without)
    for key, seed in found.items():
        (hit,) = index.search(vector=vector(seed), k=1)
        assert (hit.id, hit.metadata, hit.score > 0.999) == (key, {"seed": seed}, True)
    return found
