"""What the parts of the server hold at the moment, for whoever watches it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from penult_server.core.admission import Admission
from penult_server.core.backbone_pool import BackbonePool
from penult_server.core.feature_ports import FeatureCache
from penult_server.core.job_ports import JobStore
from penult_server.core.jobs import JobState
from penult_server.core.metrics import Meter


def watch_extraction(meter: Meter, pool: BackbonePool, images: Admission, upload: Admission) -> None:
    """Queues, and backbones in memory."""
    meter.gauge(
        "penult_queued_images", "Images times views that decode, wait or compute.", lambda: images.inside
    )
    meter.gauge(
        "penult_upload_bytes", "Bytes of examples that are checked or written.", lambda: upload.inside
    )

    def memory() -> Mapping[str, float]:
        loaded = ((name, slot.loaded) for name, slot in pool.view().items())
        return {name: backbone.report.memory_bytes for name, backbone in loaded if backbone is not None}

    meter.gauge("penult_backbone_memory_bytes", "Memory of each loaded backbone.", memory, "backbone")


def watch_cache(meter: Meter, cache: FeatureCache) -> None:
    """The features that are kept of images."""
    meter.gauge("penult_feature_cache_bytes", "Size of the feature cache.", lambda: cache.statistics().bytes)
    meter.gauge("penult_feature_cache_vectors", "Features in the cache.", lambda: cache.statistics().vectors)

    def looked_up() -> Mapping[str, float]:
        now = cache.statistics()
        return {"hit": now.hits, "miss": now.misses}

    meter.total("penult_feature_cache_images_total", "Images that were looked up.", looked_up, "outcome")


def watch_jobs(meter: Meter, store: JobStore) -> None:
    """Jobs by state; of the ended ones those that are still kept."""
    meter.gauge("penult_jobs", "Jobs by state.", lambda: {s.value: store.count(s) for s in JobState}, "state")


def watch_machine(
    meter: Meter, data_dir: Path, device_memory: Callable[[], Mapping[str, float]] | None
) -> None:
    """The disk, and the memory of a device that has its own (by what it is used for)."""
    meter.gauge(
        "penult_disk_free_bytes",
        "Free space of the data directory.",
        lambda: shutil.disk_usage(data_dir).free,
    )
    if device_memory is not None:
        meter.gauge("penult_device_memory_bytes", "Memory of the GPU.", device_memory, "kind")
