"""What the jobs on indexes share: they are done inside the server, where the indexes and the device are."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penult_server.core.indexes import Index, IndexPhase
from penult_server.core.job_ports import Report
from penult_server.core.jobs import Job, Progress
from penult_server.core.manage_jobs import ManageJobs, NewJob
from penult_server.core.open_index import OpenIndex
from penult_server.core.open_indexes import OpenIndexes

OPTIMIZE = "optimize_index"
_POLL_SECONDS = 0.5


def no_input(directory: Path) -> None:
    """For jobs that need nothing in their directory."""


def index_result(index: Index) -> Mapping[str, Any]:
    """A job's result that is an index, as JSON."""
    created = datetime.datetime.fromtimestamp(index.created_ms / 1000, datetime.timezone.utc)
    spec = index.spec
    return {
        "index": {
            "name": index.name,
            "spec": {
                "dim": spec.dim,
                "metric": f"INDEX_METRIC_{spec.metric.upper()}",
                "kind": spec.kind,
                "parameters": dict(spec.parameters),
                "memory_bytes": spec.memory_bytes,
            },
            "options": {"backbone": index.maker.options.backbone} if index.maker.options else None,
            "fingerprint": index.maker.fingerprint,
            "keeps_images": index.maker.keeps_images,
            "label_field": index.maker.label_field,
            "create_time": created.isoformat(),
            "item_count": index.item_count,
            "sequence": index.sequence,
            "aliases": list(index.aliases),
            "phase": "INDEX_PHASE_READY",
        }
    }


async def when_ready(index: OpenIndex) -> OpenIndex:
    """Waits until it is in memory."""
    while index.phase is IndexPhase.LOADING:
        await asyncio.sleep(_POLL_SECONDS)
    return index


class Paced:
    """Reports progress, but not more often than people can read."""

    def __init__(self, report: Report, total: int, unit: str, phase: str) -> None:
        self._report = report
        self._total, self._unit, self._phase = total, unit, phase
        self._next = 0.0

    async def at(self, done: int) -> None:
        """So many are done."""
        if done < self._total and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _POLL_SECONDS
        await self._report([Progress(done, max(done, self._total), self._unit, self._phase)])


class OptimizeIndex:
    """The job that puts an index into the structure that fits best."""

    def __init__(self, indexes: OpenIndexes, jobs: ManageJobs) -> None:
        """`indexes` are those at work."""
        self._indexes = indexes
        self._jobs = jobs

    async def start(self, name: str, request_id: str) -> Job:
        """Queues it. Raises NotFound, ResourceExhausted."""
        index = self._indexes.find(name)
        return await self._jobs.submit(NewJob(OPTIMIZE, index.name, {}, no_input, request_id))

    async def stage(self, job: Job, directory: Path, report: Report) -> Mapping[str, Any]:
        """See core.job_ports.Stage."""
        index = await when_ready(self._indexes.find(job.subject))
        share, words, gone = 0.0, "", False

        def hear(done: float, phase: str) -> None:
            nonlocal share, words
            if gone:
                raise InterruptedError("the job was cancelled")
            share, words = done, phase

        work = asyncio.create_task(self._indexes.optimize(index, hear))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=_POLL_SECONDS)
                await report([Progress(int(100 * share), 100, "percent", words or "optimize")])
            await work
        except asyncio.CancelledError:
            gone = True
            raise
        return index_result(await asyncio.to_thread(self._indexes.stores.indexes.by_id, index.id))
