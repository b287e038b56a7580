from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penult_server.core.admission import Admission
from penult_server.core.feature_ports import CacheStatistics
from penult_server.core.gauges import watch_cache, watch_extraction, watch_jobs, watch_machine
from penult_server.core.jobs import JobState
from penult_server.core.metrics import Histogram

Read = Callable[[], float | Mapping[str, float]]


class Readings:
    """A meter that keeps what can be read."""

    def __init__(self) -> None:
        self.read: dict[str, Read] = {}

    def gauge(self, name: str, text: str, read: Read, label: str = "") -> None:
        assert name not in self.read
        assert isinstance(read(), Mapping) == bool(label)
        self.read[name] = read

    total = gauge

    def counter(self, *_: Any) -> Any:
        raise NotImplementedError

    def histogram(self, *_: Any, **__: Any) -> Histogram:
        raise NotImplementedError


class Anything:
    """Stands for a pool, a store and a cache."""

    def view(self) -> Mapping[str, Any]:
        return {}

    def count(self, state: JobState) -> int:
        return 2 if state is JobState.QUEUED else 0

    def statistics(self) -> CacheStatistics:
        return CacheStatistics(vectors=5, bytes=100, hits=3, misses=1, damaged=0, failed_writes=0)


def test_gauges_read_what_is_there_when_they_are_asked(tmp_path: Path) -> None:
    meter, anything = Readings(), Anything()
    images = Admission(10)
    watch_extraction(meter, anything, images, Admission(10))  # type: ignore[arg-type]
    watch_jobs(meter, anything)  # type: ignore[arg-type]
    watch_cache(meter, anything)  # type: ignore[arg-type]
    watch_machine(meter, tmp_path, lambda: {"used": 1.0})
    images.enter(4)
    assert meter.read["penult_queued_images"]() == 4
    assert meter.read["penult_backbone_memory_bytes"]() == {}
    jobs = meter.read["penult_jobs"]()
    assert isinstance(jobs, Mapping)
    assert jobs["queued"] == 2
    assert meter.read["penult_feature_cache_images_total"]() == {"hit": 3, "miss": 1}
    assert meter.read["penult_device_memory_bytes"]() == {"used": 1.0}


def test_a_cpu_has_no_memory_of_its_own(tmp_path: Path) -> None:
    meter = Readings()
    watch_machine(meter, tmp_path, None)
    assert set(meter.read) == {"penult_disk_free_bytes"}
