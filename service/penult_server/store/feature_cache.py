"""Features that were computed before, in a database of their own that can be lost without harm.

It is not synced: a crash of the machine may damage it. Every vector carries a checksum, and a database
that is damaged as such is thrown away and begun anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from penult_server.core.feature_ports import CacheStatistics

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE fingerprints (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL, sha256 BLOB NOT NULL,
  used INTEGER NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL, UNIQUE (fingerprint, sha256)
);
CREATE INDEX entries_by_use ON entries (used, id, bytes);
CREATE TABLE vectors (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
_OVERHEAD_BYTES = 160
"""Of a vector's rows and index entries, beside its own bytes."""
_MANY = 500
_EVICTED_AT_ONCE = 1000
T = TypeVar("T")


class FeatureCache:
    """Implements core.feature_ports.FeatureCache. Threads may share it.

    What was looked up or written last is used last; when the bound is reached the least recently used go.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Opens or creates the file; a file that cannot be used is replaced. `max_bytes` 0 keeps nothing."""
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._hits = self._misses = self._damaged = self._failed_writes = 0
        self._connection: sqlite3.Connection | None = None
        self._bytes = self._vectors = self._clock = 0
        with self._lock:
            self._guarded(self._fit, None)

    def get(self, fingerprints: Sequence[str], sha256s: Sequence[str]) -> Mapping[str, np.ndarray]:
        """See core.feature_ports.FeatureCache."""
        with self._lock:
            nothing: dict[str, np.ndarray] = {}
            found = self._guarded(lambda connection: self._get(connection, fingerprints, sha256s), nothing)
            self._hits += len(found)
            self._misses += len(set(sha256s)) - len(found)
            return found

    def put(self, fingerprints: Sequence[str], features: Mapping[str, np.ndarray]) -> None:
        """See core.feature_ports.FeatureCache."""
        needed = sum(array.nbytes + _OVERHEAD_BYTES * len(array) for array in features.values())
        if not features or needed > self._max_bytes:
            return
        with self._lock:
            self._guarded(lambda connection: self._put(connection, fingerprints, features, needed), None)

    def statistics(self) -> CacheStatistics:
        """See core.feature_ports.FeatureCache."""
        with self._lock:
            return CacheStatistics(
                self._vectors, self._bytes, self._hits, self._misses, self._damaged, self._failed_writes
            )

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._disconnect()

    def _guarded(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """The work in one transaction; `otherwise` where the cache cannot do it."""
        try:
            connection = self._connect()
            with _transaction(connection):
                result = work(connection)
        except sqlite3.OperationalError:  # a full disk, a file that was taken away: the next try may work
            self._failed_writes += 1
            self._disconnect()
            return otherwise
        except sqlite3.DatabaseError:
            self._damaged += 1
            self._discard()
            return otherwise
        except OSError:
            self._failed_writes += 1
            return otherwise
        return result

    def _get(
        self, connection: sqlite3.Connection, fingerprints: Sequence[str], sha256s: Sequence[str]
    ) -> dict[str, np.ndarray]:
        views = [self._find(connection, fingerprint) for fingerprint in fingerprints]
        found: dict[str, list[np.ndarray]] = {}
        used: list[int] = []
        for place, view in enumerate(views):
            # An image that lacks one view has to be computed anyway.
            wanted = (
                list(dict.fromkeys(sha256s))
                if place == 0
                else [s for s, got in found.items() if len(got) == place]
            )
            for rows in self._rows(connection, view, wanted):
                for key, sha256, crc, data in rows:
                    if zlib.crc32(data) != crc:
                        self._damaged += 1
                        self._forget(connection, [key])
                        continue
                    used.append(key)
                    found.setdefault(sha256.hex(), []).append(np.frombuffer(data, np.float32))
        self._clock += 1
        connection.executemany(
            "UPDATE entries SET used = ? WHERE id = ?", [(self._clock, key) for key in used]
        )
        return {sha256: np.stack(got) for sha256, got in found.items() if len(got) == len(views)}

    @staticmethod
    def _rows(
        connection: sqlite3.Connection, view: int | None, sha256s: Sequence[str]
    ) -> Iterator[list[tuple[int, bytes, int, bytes]]]:
        if view is None:
            return
        for start in range(0, len(sha256s), _MANY):
            some = [bytes.fromhex(sha256) for sha256 in sha256s[start : start + _MANY]]
            query = (
                "SELECT entries.id, sha256, crc, data FROM entries JOIN vectors ON vectors.id = entries.id "
                f"WHERE fingerprint = ? AND sha256 IN ({','.join('?' * len(some))})"
            )
            yield connection.execute(query, [view, *some]).fetchall()

    def _put(
        self,
        connection: sqlite3.Connection,
        fingerprints: Sequence[str],
        features: Mapping[str, np.ndarray],
        needed: int,
    ) -> None:
        self._evict(connection, needed)
        self._clock += 1
        for place, fingerprint in enumerate(fingerprints):
            connection.execute(
                "INSERT INTO fingerprints (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", [fingerprint]
            )
            view = self._find(connection, fingerprint)
            for sha256, array in features.items():
                data = np.ascontiguousarray(array[place], np.float32).tobytes()
                row = view, bytes.fromhex(sha256), self._clock, len(data) + _OVERHEAD_BYTES, zlib.crc32(data)
                cursor = connection.execute(
                    "INSERT INTO entries (fingerprint, sha256, used, bytes, crc) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    row,
                )
                if cursor.rowcount:
                    connection.execute("INSERT INTO vectors VALUES (?, ?)", [cursor.lastrowid, data])
                    self._bytes += row[3]
                    self._vectors += 1

    def _fit(self, connection: sqlite3.Connection) -> None:
        """The bound may be lower than when the file was written."""
        self._evict(connection, 0)
        connection.execute("PRAGMA incremental_vacuum").fetchall()

    def _evict(self, connection: sqlite3.Connection, needed: int) -> None:
        """Makes room for `needed` bytes."""
        while self._bytes and self._bytes + needed > self._max_bytes:
            oldest = connection.execute(
                "SELECT id, bytes FROM entries ORDER BY used, id LIMIT ?", [_EVICTED_AT_ONCE]
            )
            chosen, excess = [], self._bytes + needed - self._max_bytes
            for key, size in oldest:
                chosen.append(key)
                excess -= size
                if excess <= 0:
                    break
            self._forget(connection, chosen)

    def _forget(self, connection: sqlite3.Connection, keys: Sequence[int]) -> None:
        for key in keys:
            (size,) = connection.execute("SELECT bytes FROM entries WHERE id = ?", [key]).fetchone()
            connection.execute("DELETE FROM entries WHERE id = ?", [key])
            connection.execute("DELETE FROM vectors WHERE id = ?", [key])
            self._bytes -= size
            self._vectors -= 1

    @staticmethod
    def _find(connection: sqlite3.Connection, fingerprint: str) -> int | None:
        row = connection.execute(
            "SELECT id FROM fingerprints WHERE fingerprint = ?", [fingerprint]
        ).fetchone()
        return None if row is None else int(row[0])

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
            elif version != _SCHEMA_VERSION:
                raise sqlite3.DatabaseError("of another version")
            query = "SELECT count(*), coalesce(sum(bytes), 0), coalesce(max(used), 0) FROM entries"
            self._vectors, self._bytes, self._clock = connection.execute(query).fetchone()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _discard(self) -> None:
        """Throws the file away; the next use begins a new one."""
        self._disconnect()
        self._bytes = self._vectors = self._clock = 0
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
