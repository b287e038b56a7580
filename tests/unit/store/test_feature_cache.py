from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from penult_server.store.feature_cache import FeatureCache

DIM = 64
PLAIN, FLIPPED = "a" * 64, "b" * 64


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def features(number: int, views: int = 1) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(views, DIM)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "features.db"


@pytest.fixture
def cache(path: Path) -> Iterator[FeatureCache]:
    cache = FeatureCache(path, 1 << 20)
    yield cache
    cache.close()


def test_what_was_put_comes_back_bit_for_bit_also_after_a_restart(cache: FeatureCache, path: Path) -> None:
    cache.put([PLAIN, FLIPPED], {key(n): features(n, 2) for n in range(1200)})
    cache.close()
    again = FeatureCache(path, 1 << 20)
    found = again.get([PLAIN, FLIPPED], [key(n) for n in range(1300)])
    assert set(found) == {key(n) for n in range(1200)}
    for number in range(1200):
        assert found[key(number)].tobytes() == features(number, 2).tobytes()
    statistics = again.statistics()
    assert (statistics.hits, statistics.misses, statistics.vectors) == (1200, 100, 2400)
    assert 2400 * DIM * 4 < statistics.bytes < 1 << 20
    again.close()


def test_an_image_needs_every_view_and_shares_those_it_has(cache: FeatureCache) -> None:
    cache.put([PLAIN], {key(1): features(1), key(2): features(2)})
    assert cache.get([PLAIN, FLIPPED], [key(1), key(2)]) == {}
    both = features(3, 2)
    cache.put([PLAIN, FLIPPED], {key(1): np.stack([features(1)[0], both[1]])})
    assert set(cache.get([PLAIN, FLIPPED], [key(1), key(2)])) == {key(1)}
    assert set(cache.get([PLAIN], [key(1), key(2)])) == {key(1), key(2)}
    assert cache.statistics().vectors == 3
    assert cache.get(["c" * 64], [key(1)]) == {}


def test_the_bound_holds_and_the_least_recently_used_go_first(path: Path) -> None:
    cache = FeatureCache(path, 100 * (DIM * 4 + 160))
    for number in range(100):
        cache.put([PLAIN], {key(number): features(number)})
    cache.get([PLAIN], [key(0), key(1)])
    cache.put([PLAIN], {key(n): features(n) for n in range(100, 110)})
    there = set(cache.get([PLAIN], [key(n) for n in range(110)]))
    assert there == {key(n) for n in (0, 1, *range(12, 110))}
    assert cache.statistics().bytes <= 100 * (DIM * 4 + 160)
    cache.put([PLAIN], {key(n): features(n) for n in range(1000, 1200)})  # more than there is room for at all
    assert set(cache.get([PLAIN], [key(n) for n in range(110)])) == there
    cache.close()
    smaller = FeatureCache(path, 10 * (DIM * 4 + 160))
    assert smaller.statistics().vectors == 10
    smaller.close()
    none = FeatureCache(path, 0)
    none.put([PLAIN], {key(5000): features(1)})
    assert none.statistics().vectors == 0
    assert none.get([PLAIN], [key(5000)]) == {}
    none.close()


def test_a_vector_that_is_not_what_was_written_is_thrown_away(cache: FeatureCache, path: Path) -> None:
    cache.put([PLAIN], {key(n): features(n) for n in range(3)})
    other = sqlite3.connect(path)
    with other:
        (data,) = other.execute("SELECT data FROM vectors WHERE id = 2").fetchone()
        other.execute("UPDATE vectors SET data = ? WHERE id = 2", [bytes([data[0] ^ 1]) + data[1:]])
    other.close()
    assert set(cache.get([PLAIN], [key(n) for n in range(3)])) == {key(0), key(2)}
    assert cache.statistics().damaged == 1
    cache.put([PLAIN], {key(1): features(1)})
    assert cache.get([PLAIN], [key(1)])[key(1)].tobytes() == features(1).tobytes()


@pytest.mark.parametrize("damage", ["no database", "cut off", "zeros", "other version"])
def test_a_damaged_file_is_begun_anew(path: Path, damage: str) -> None:
    cache = FeatureCache(path, 1 << 22)
    cache.put([PLAIN], {key(n): features(n) for n in range(500)})
    cache.close()
    size = path.stat().st_size
    if damage == "no database":
        path.write_bytes(b"no database at all" * 1000)
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[: size // 3])
    elif damage == "zeros":
        data = bytearray(path.read_bytes())
        data[4096 : size - 4096] = bytes(size - 8192)
        path.write_bytes(data)
    else:
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA user_version = 99")
        other.close()
    cache = FeatureCache(path, 1 << 22)
    cache.get([PLAIN], [key(n) for n in range(500)])  # notices at the latest here, and raises nothing
    cache.put([PLAIN], {key(n): features(n) for n in range(500)})
    cache.put([PLAIN], {key(n): features(n) for n in range(500)})
    found = cache.get([PLAIN], [key(n) for n in range(500)])
    assert len(found) == 500
    assert found[key(77)].tobytes() == features(77).tobytes()
    cache.close()


def test_a_full_disk_keeps_nothing_and_raises_nothing(cache: FeatureCache) -> None:
    cache.put([PLAIN], {key(1): features(1)})
    assert cache._connection is not None
    cache._connection.execute("PRAGMA max_page_count = 1")  # as many as it has
    cache.put([PLAIN], {key(n): features(n) for n in range(100, 400)})
    assert cache.statistics().failed_writes == 1
    assert set(cache.get([PLAIN], [key(n) for n in range(400)])) == {key(1)}
    cache.put([PLAIN], {key(2): features(2)})  # there is room again
    assert set(cache.get([PLAIN], [key(1), key(2)])) == {key(1), key(2)}


def test_a_folder_that_cannot_be_used_keeps_nothing_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "features.db", 1 << 20)
    cache.put([PLAIN], {key(1): features(1)})
    assert cache.get([PLAIN], [key(1)]) == {}
    assert cache.statistics().failed_writes == 3
