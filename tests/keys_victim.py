"""A process that makes and revokes API keys until it is killed, and says what it does over a pipe."""

from __future__ import annotations

import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

from penult_server.core.access import Scope, make_key
from penult_server.store.api_keys import DatabaseKeys
from penult_server.store.database import FILE, Database


def run(folder: Path, pipe: Connection, seed: int) -> None:
    """`("try", id, text)` before a key is made, `("made", id, "")` after it; the same with revoking."""
    rng, keys, mine = random.Random(seed), DatabaseKeys(Database(folder / FILE)), []
    for number in range(1 << 20):
        if mine and rng.random() < 0.4:
            key_id = mine.pop(rng.randrange(len(mine)))
            pipe.send(("revoke", key_id, ""))
            keys.revoke(key_id, time.time())
            pipe.send(("revoked", key_id, ""))
        else:
            key, text = make_key(f"key-{seed}-{number}", [Scope.READ], time.time())
            pipe.send(("make", key.id, text))
            keys.add(key)
            pipe.send(("made", key.id, text))
            mine.append(key.id)
