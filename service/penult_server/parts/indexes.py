"""Indexes, and the jobs on them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses

import structlog

from penult_server.core.add_items import AddItemsToIndex
from penult_server.core.admission import Admission
from penult_server.core.dataset_ports import ImageChecker
from penult_server.core.extract import ExtractFeatures
from penult_server.core.manage_indexes import ManageIndexes
from penult_server.core.new_items import PrepareItems
from penult_server.core.open_index import IndexStores, OpenIndex
from penult_server.core.open_indexes import OpenIndexes
from penult_server.core.search_index import SearchIndex
from penult_server.core.search_queries import Queries
from penult_server.engine.indexes.engine import FaissEngine
from penult_server.engine.machine import cores
from penult_server.settings import Settings
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.index_items import DatabaseItems
from penult_server.store.indexes import DatabaseIndexes
from penult_server.transport.index_service import IndexService

log = structlog.get_logger()
_SEARCH_THREADS = 4
"""Searches at once; each has as many threads of FAISS as there are cores."""


@dataclasses.dataclass(frozen=True, slots=True)
class IndexParts:
    """What the rest of the server sees of indexes."""

    service: IndexService
    opened: OpenIndexes
    _images: Blobs
    _threads: concurrent.futures.ThreadPoolExecutor

    async def close(self) -> None:
        """Finishes writes and saves; after the last call has ended."""
        await self.opened.close()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._images.close)


def index_parts(
    settings: Settings, database: Database, extract: ExtractFeatures, checker: ImageChecker
) -> IndexParts:
    """Everything about indexes, on the running event loop; `opened.start` finds those that there are."""
    on_disk = settings.data_dir / "index-vectors"
    on_disk.mkdir(exist_ok=True)
    images = Blobs(settings.data_dir / "index-images")
    items = DatabaseItems(database, images)
    stores = IndexStores(
        DatabaseIndexes(database, items, images, settings.data_dir / "indexes"),
        items,
        FaissEngine(threads=cores(), folder=on_disk),
    )
    opened = OpenIndexes(stores, _report)
    threads = concurrent.futures.ThreadPoolExecutor(_SEARCH_THREADS, thread_name_prefix="search")
    service = IndexService(
        ManageIndexes(opened, extract),
        AddItemsToIndex(
            opened,
            extract,
            PrepareItems(checker, max_images=settings.max_images),
            Admission(settings.max_upload_mb << 20, stream_share=1.0, unit="bytes"),
        ),
        SearchIndex(
            opened, Queries(extract), Admission(settings.max_queued_queries, unit="queries"), threads
        ),
    )
    return IndexParts(service, opened, images, threads)


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
