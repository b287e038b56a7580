"""kill -9 while API keys are written: what was acknowledged holds, nothing is there by half, none opens."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from penult_server.core.access import AccessControl, Scope
from penult_server.core.errors import Unauthenticated
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.database import FILE, Database
from penult_server.store.sqlite import damage
from tests import keys_victim
from tests.long_form import LONG

KILLS, COMMANDS = (300, 60) if LONG else (40, 4)
PATIENCE = 120


class Truth:
    """The keys by what was acknowledged of them; of those under way either is right."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.valid: set[str] = set()
        self.revoked: set[str] = set()
        self.under_way: set[str] = set()
        self.acknowledged = 0

    def hear(self, message: tuple[str, str, str]) -> None:
        kind, key_id, text = message
        if kind in ("make", "revoke"):
            self.texts.setdefault(key_id, text)
            self.under_way.add(key_id)
            return
        self.under_way.discard(key_id)
        self.valid.discard(key_id)
        (self.valid if kind == "made" else self.revoked).add(key_id)
        self.acknowledged += 1

    async def check(self, database: Database) -> None:
        """Every acknowledged key lets in, every revoked one does not, and there are no others."""
        keys = DatabaseKeys(database)
        rows, access = {key.id: key for key in keys.all()}, AccessControl(keys)
        assert set(rows) - set(self.texts) == set()
        for key_id in self.valid - self.under_way:
            assert await access.authorize(self.texts[key_id], Scope.READ) == rows[key_id]
        for key_id in self.revoked:
            with pytest.raises(Unauthenticated):
                await access.authorize(self.texts[key_id], Scope.READ)
        with pytest.raises(Unauthenticated):
            await access.authorize(None, Scope.READ)
        for key_id in self.under_way:  # one way or the other, and from now on the way that it is
            if key_id in rows:
                (self.valid if rows[key_id].revoked is None else self.revoked).add(key_id)
            if key_id not in rows or rows[key_id].revoked is not None:
                self.valid.discard(key_id)
        self.under_way.clear()


@pytest.mark.slow
async def test_acknowledged_keys_survive_kills(tmp_path: Path, count: Callable[..., None]) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.keys_victim"])
    rng, truth = random.Random(11), Truth()
    database = Database(tmp_path / FILE)
    for seed in range(KILLS):
        pipe, theirs = context.Pipe(duplex=False)
        process = context.Process(target=keys_victim.run, args=(tmp_path, theirs, seed), daemon=True)
        process.start()
        theirs.close()
        try:
            for _ in range(rng.choice((1, 2, 3, 9, 24))):
                assert pipe.poll(PATIENCE)
                truth.hear(pipe.recv())
            time.sleep(rng.random() * 0.003)
        finally:
            process.kill()
            process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
        with contextlib.suppress(EOFError):
            while True:
                truth.hear(pipe.recv())
        pipe.close()
        await truth.check(database)
    database.close()
    assert truth.acknowledged > 2 * KILLS
    assert damage(tmp_path / FILE) == []
    count(kills=KILLS, acknowledged=truth.acknowledged, lost=0)


@pytest.mark.slow
async def test_a_key_that_the_command_has_printed_is_there(
    tmp_path: Path, count: Callable[..., None]
) -> None:
    rng, printed = random.Random(5), []
    for number in range(COMMANDS):
        command = subprocess.Popen(
            [sys.executable, "-m", "penult_server", "keys", "create", f"k{number}", "--scopes", "read",
             "--data-dir", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert command.stdout is not None
        if number % 2:  # at some moment of its life
            time.sleep(rng.uniform(0.1, 2.5))
            command.kill()
            text = command.stdout.read()
        else:  # the very moment after
            text = command.stdout.readline()
            command.kill()
        command.stdout.close()
        command.wait(PATIENCE)
        if text.endswith("\n"):
            printed.append(text.strip())
    assert len(printed) >= COMMANDS // 2
    database = Database(tmp_path / FILE)
    access = AccessControl(DatabaseKeys(database))
    for text in printed:
        assert await access.authorize(text, Scope.READ) is not None
    assert len(DatabaseKeys(database).all()) <= COMMANDS
    count(kills=COMMANDS, printed=len(printed), lost=0)
    database.close()
