"""Indexes, and the jobs on them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
from collections.abc import Mapping

import structlog

from penult_server.core import index_dataset, index_jobs, near_duplicates, reembed_index
from penult_server.core.add_items import AddItemsToIndex
from penult_server.core.admission import Admission
from penult_server.core.archive_index import ArchiveIndex
from penult_server.core.dataset_features import DatasetFeatures
from penult_server.core.dataset_ports import DatasetSnapshots, ImageChecker
from penult_server.core.evaluate_index import EvaluateIndex
from penult_server.core.extract import ExtractFeatures
from penult_server.core.images import ImageLimits
from penult_server.core.index_dataset import AddDataset
from penult_server.core.index_gauges import watch_indexes
from penult_server.core.index_jobs import OptimizeIndex
from penult_server.core.job_ports import Stage
from penult_server.core.manage_indexes import ManageIndexes
from penult_server.core.manage_jobs import ManageJobs
from penult_server.core.metrics import Meter
from penult_server.core.near_duplicates import FindNearDuplicates
from penult_server.core.new_items import PrepareItems
from penult_server.core.open_index import IndexStores, OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.reembed_index import ReembedIndex
from penult_server.core.search_index import SearchIndex
from penult_server.core.search_queries import Queries
from penult_server.engine.analysis.picture import examine
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.machine import cores
from penult_server.settings import Settings
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.index_archives import ZipArchives
from penult_server.store.index_items import DatabaseItems
from penult_server.store.indexes import DatabaseIndexes
from penult_server.transport.index_service import IndexJobs, IndexService

log = structlog.get_logger()
_SEARCH_THREADS = 4
"""Searches at once; each has as many threads of FAISS as there are cores."""

KINDS = dict.fromkeys(
    (index_jobs.OPTIMIZE, index_dataset.KIND, reembed_index.KIND, near_duplicates.KIND), True
)
"""Kinds of job that have no worker; a run after a crash does the rest, or all again."""


@dataclasses.dataclass(frozen=True, slots=True)
class IndexParts:
    """What the rest of the server sees of indexes."""

    service: IndexService
    opened: OpenIndexes
    stages: Mapping[str, Stage]
    _images: Blobs
    _threads: concurrent.futures.ThreadPoolExecutor

    async def close(self) -> None:
        """Finishes writes and saves; after the last call has ended."""
        await self.opened.close()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._images.close)


def index_parts(
    settings: Settings,
    database: Database,
    extract: ExtractFeatures,
    checker: ImageChecker,
    limits: ImageLimits,
    jobs: ManageJobs,
    snapshots: DatasetSnapshots,
    features: DatasetFeatures,
    meter: Meter,
) -> IndexParts:
    """Everything about indexes, on the running event loop; `opened.start` finds those that there are."""
    on_disk = settings.data_dir / "index-vectors"
    on_disk.mkdir(exist_ok=True)
    images = Blobs(settings.data_dir / "index-images", spare_bytes=settings.min_free_disk_mb << 20)
    items = DatabaseItems(database, images, settings.quotas())
    indexes = DatabaseIndexes(database, items, images, settings.data_dir / "indexes", settings.quotas())
    opened = OpenIndexes(IndexStores(indexes, items, FaissEngine(threads=cores(), folder=on_disk)), _report)
    watch_indexes(meter, opened)
    threads = concurrent.futures.ThreadPoolExecutor(_SEARCH_THREADS, thread_name_prefix="search")
    queries = Admission(settings.max_queued_queries, unit="queries")
    manage = ManageIndexes(opened, extract)
    add = AddItemsToIndex(
        opened,
        extract,
        PrepareItems(checker, max_images=settings.max_images),
        Admission(settings.max_upload_mb << 20, stream_share=1.0, unit="bytes"),
    )
    starts = IndexJobs(
        OptimizeIndex(opened, jobs),
        AddDataset(opened, add, snapshots, jobs),
        ReembedIndex(opened, manage, add, jobs),
        FindNearDuplicates(opened, snapshots, features, lambda path: examine(path, limits).pixels, jobs),
    )
    archives = ZipArchives(database, items, images, settings.data_dir / "index-archives")
    service = IndexService(
        manage,
        add,
        SearchIndex(opened, Queries(extract), queries, threads, meter),
        EvaluateIndex(opened),
        ArchiveIndex(opened, manage, archives),
        starts,
    )
    stages: dict[str, Stage] = {
        index_jobs.OPTIMIZE: starts.optimize.stage,
        index_dataset.KIND: starts.add_dataset.stage,
        reembed_index.KIND: starts.reembed.stage,
        near_duplicates.KIND: starts.near_duplicates.stage,
    }
    return IndexParts(service, opened, stages, images, threads)


def _report(event: str, index: OpenIndex, what: BaseException | str) -> None:
    if isinstance(what, BaseException):
        log.error(event, index=index.name, exc_info=what)
    elif event == "index_loaded":
        log.info(
            event, index=index.name, source=index.loading.source, items=index.vectors.count,
            seconds=round(index.loading.seconds, 3),
        )  # fmt: skip
    else:
        log.info(event, index=index.name, why=what)
