"""The composition root: plain constructors, then run until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Mapping

import structlog
import torch
import uvloop
from pydantic import ValidationError

from penult_server.core.admission import Admission
from penult_server.core.analyze_dataset import AnalyzeDataset
from penult_server.core.backbone_pool import BackbonePool
from penult_server.core.batching import BatchPolicy
from penult_server.core.datasets import Quota
from penult_server.core.describe_backbones import DescribeBackbones
from penult_server.core.errors import PenultError
from penult_server.core.extract import ExtractFeatures
from penult_server.core.gauges import watch_cache, watch_extraction, watch_jobs, watch_machine
from penult_server.core.images import ImageLimits
from penult_server.core.import_backbone import ImportBackbone
from penult_server.core.job_feed import JobFeed
from penult_server.core.job_ports import Publish, Stage
from penult_server.core.manage_datasets import ManageDatasets
from penult_server.core.manage_jobs import ManageJobs
from penult_server.core.readiness import Readiness
from penult_server.core.run_jobs import JobRunner, Retention
from penult_server.core.upload_examples import UploadExamples
from penult_server.engine.analysis import analyze_dataset  # noqa: F401 - registers the kind of job
from penult_server.engine.backbones.catalog import Catalog
from penult_server.engine.decode_pool import DecodePool
from penult_server.engine.device_thread import DeviceThread
from penult_server.engine.feature_engine import FeatureEngine
from penult_server.engine.image_check import ImageChecker
from penult_server.engine.images import nvjpeg
from penult_server.engine.images.nvjpeg import NvjpegDecoder
from penult_server.engine.images.preprocessor import ImagePreprocessor
from penult_server.engine.loader import Loader, pick_device
from penult_server.engine.machine import allow_open_files, cores, gpu_memory_use
from penult_server.engine.malloc import tune_malloc
from penult_server.engine.workers.kinds import RegisteredKinds
from penult_server.engine.workers.processes import WorkerProcesses
from penult_server.logs import configure_logs
from penult_server.parts.gate import Gate, gate
from penult_server.parts.indexes import KINDS, index_parts
from penult_server.parts.models import ModelStores, model_parts
from penult_server.settings import Settings, problems
from penult_server.signals import keep_from_children
from penult_server.store.blobs import Blobs
from penult_server.store.database import Database
from penult_server.store.dataset_snapshots import DatabaseSnapshots
from penult_server.store.datasets import DatasetStore
from penult_server.store.home import at_home
from penult_server.store.imported_backbones import ImportedBackboneStore
from penult_server.store.job_directories import JobDirectories
from penult_server.store.jobs import DatabaseJobs
from penult_server.transport.backbone_service import BackboneService
from penult_server.transport.dataset_service import DatasetService
from penult_server.transport.feature_service import FeatureService
from penult_server.transport.job_service import JobService
from penult_server.transport.server import Server
from penult_server.transport.watching import Watching

log = structlog.get_logger()
_GPU_BATCH = 64
# Measured on two cores, where larger batches are slower (docs/performance.md).
_CPU_BATCH_A_CORE, _CPU_BATCH_RANGE = 2, (4, 32)
# Python's own 5 ms are longer than a batch: the device would wait for the event loop to let go.
_SWITCH_SECONDS = 0.0005
_DAY_SECONDS = 24 * 3600


def serve_command(arguments: list[str]) -> int:
    """`penult-server serve`: exit status 0 after a drain, 2 for wrong settings, 1 if it cannot start."""
    try:
        settings = Settings.load(arguments)
    except (FileNotFoundError, ValidationError) as error:
        sys.stderr.writelines(f"penult-server: {line}\n" for line in problems(error))
        return 2
    configure_logs(settings.log_level, settings.log_format)
    allow_open_files()
    keep_from_children()
    if settings.tune_malloc:
        tune_malloc()
    torch.set_num_threads(settings.compute_threads or cores())
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        torch_device = pick_device(settings.device)
        jpeg_decoder = NvjpegDecoder(torch_device) if settings.jpeg_decoder == "nvjpeg" else None
    except ValueError as error:
        sys.stderr.write(f"penult-server: {error}\n")
        return 2
    return uvloop.run(serve(settings, torch_device, jpeg_decoder))


async def serve(settings: Settings, torch_device: torch.device, jpeg_decoder: NvjpegDecoder | None) -> int:
    """Runs until SIGTERM or SIGINT, then drains. Returns the exit status."""
    with contextlib.ExitStack() as held:
        try:
            database = held.enter_context(at_home(settings.data_dir, settings.database))
            entrance = await gate(settings, database)
            watching = Watching(settings.metrics_listen, settings.tracing_endpoint)
            held.callback(watching.close)
            return await _serve(settings, database, entrance, watching, torch_device, jpeg_decoder)
        except PenultError as error:  # such as a database whose damage the first look at jobs finds
            log.error("cannot_start", reason=error.reason, why=error.message, hint=error.hint)
            return 1


async def _serve(
    settings: Settings,
    database: Database,
    entrance: Gate,
    watching: Watching,
    torch_device: torch.device,
    jpeg_decoder: NvjpegDecoder | None,
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    max_batch = settings.max_batch or _default_batch(torch_device.type, cores())
    imported = settings.data_dir / "backbones"
    store = ImportedBackboneStore(imported)
    kept = ModelStores(settings, database)
    catalog = Catalog(
        settings.checkpoint_dir, imported, allow_download=settings.allow_download, own=kept.backbones
    )
    meter, tracer = watching.meter, watching.tracer
    policy = BatchPolicy(max_batch=max_batch, max_wait=settings.max_wait_ms / 1000)
    device = DeviceThread(str(torch_device), policy, meter, tracer)
    decoders = DecodePool(settings.decode_threads or cores())
    loader = Loader(
        catalog,
        device,
        torch_device,
        provider=settings.provider,
        precision=settings.precision,
        threads=settings.compute_threads or cores(),
        max_batch=max_batch,
        memory_budget=settings.backbone_memory_mb << 20,
        decoder_numerics=nvjpeg.NUMERICS if jpeg_decoder else "",
    )
    pool = BackbonePool(catalog, loader)
    limits = ImageLimits(
        max_bytes=settings.max_image_mb << 20,
        max_pixels=settings.max_image_megapixels * 1_000_000,
        max_frames=settings.max_image_frames,
    )
    preprocessor = ImagePreprocessor(limits, jpeg_decoder)
    images_inside = Admission(settings.max_queued_images)
    extract = ExtractFeatures(
        pool,
        FeatureEngine(preprocessor, decoders, meter, tracer),
        images_inside,
        max_stream_bytes=settings.max_inflight_mb << 20,
        default_backbone=settings.default_backbone,
        max_images=settings.max_images,
    )
    describe = DescribeBackbones(catalog, pool, default_backbone=settings.default_backbone)
    importer = ImportBackbone(catalog, store, settings.max_checkpoint_mb << 20)
    blobs = Blobs(settings.data_dir / "blobs", spare_bytes=settings.min_free_disk_mb << 20)
    datasets = DatasetStore(database, blobs, settings.quotas())
    checker = ImageChecker(limits, decoders)
    upload_inside = Admission(settings.max_upload_mb << 20, stream_share=1.0)
    upload = UploadExamples(
        datasets,
        checker,
        upload_inside,
        max_images=settings.max_images,
        quota=Quota(settings.max_examples, settings.max_dataset_mb << 20),
    )
    feed = JobFeed()
    # The jobs of a kind and what starts them need each other.
    stages: dict[str, Stage] = {}
    publish: dict[str, Publish] = {}
    runner, jobs = _jobs(settings, database, feed, stages, publish)
    snapshots = DatabaseSnapshots(database, blobs)
    analyze = AnalyzeDataset(jobs, snapshots, limits)
    models = model_parts(
        settings, kept, extract, describe, jobs, snapshots, datasets, preprocessor, loader, limits,
        torch_device.type,
    )  # fmt: skip
    indexes = index_parts(
        settings, database, extract, checker, limits, jobs, snapshots, models.features, meter
    )
    stages |= {**models.stages, **indexes.stages}
    publish |= models.publish
    server = Server(
        features=FeatureService(extract),
        backbones=BackboneService(describe, importer),
        datasets=DatasetService(ManageDatasets(datasets), upload, analyze),
        indexes=indexes.service,
        jobs=JobService(jobs, models.finish, models.plots),
        access=entrance.access,
        models=models.service,
        max_message_bytes=settings.max_message_mb << 20,
        limits=entrance.limits,
        stall_seconds=settings.stall_seconds,
        keepalive_seconds=settings.keepalive_seconds,
        meter=meter,
        tracer=tracer,
    )
    watch_extraction(meter, pool, images_inside, upload_inside)
    watch_cache(meter, models.cache)
    watch_jobs(meter, DatabaseJobs(database, settings.max_job_events))
    watch_machine(meter, settings.data_dir, gpu_memory_use(torch_device))

    async def report(ready: bool, why: str) -> None:
        await server.set_serving(ready)
        (log.info if ready else log.error)("ready" if ready else "not_ready", why=why)

    await runner.recover()
    await indexes.opened.start()
    try:
        port = await server.start(settings.listen, entrance.certificates)
    except RuntimeError:
        log.error("cannot_listen", address=settings.listen, hint="is another server running there?")
        return 1
    log.info("listening", address=f"{settings.listen.rpartition(':')[0]}:{port}", device=str(torch_device))
    readiness = Readiness(
        pool, settings.default_backbone, interval=settings.health_interval_seconds, report=report
    )
    working = asyncio.create_task(runner.run())
    background = [asyncio.create_task(readiness.watch()), asyncio.create_task(_preload(describe, settings))]
    await stop.wait()
    log.info("draining", seconds=settings.drain_seconds)
    started = time.monotonic()
    for task in background:
        task.cancel()
    feed.close()
    await runner.close()
    await working
    await server.drain(settings.drain_seconds)
    await indexes.close()
    await asyncio.to_thread(decoders.close)
    await asyncio.to_thread(blobs.close)
    await asyncio.to_thread(models.cache.close)
    pool.close()
    await asyncio.to_thread(device.close)
    log.info("stopped", seconds=round(time.monotonic() - started, 3))
    return 0


def _jobs(
    settings: Settings,
    database: Database,
    feed: JobFeed,
    stages: Mapping[str, Stage],
    publish: Mapping[str, Publish],
) -> tuple[JobRunner, ManageJobs]:
    store = DatabaseJobs(database, settings.max_job_events)
    directories = JobDirectories(settings.data_dir / "jobs")
    runner = JobRunner(
        store,
        directories,
        WorkerProcesses(),
        feed,
        max_workers=settings.max_workers,
        retention=Retention(settings.keep_jobs, settings.keep_jobs_days * _DAY_SECONDS),
        stages=stages,
        publish=publish,
        report=lambda job_id, error: log.error("job_not_settled", job=job_id, exc_info=error),
    )
    jobs = ManageJobs(
        store,
        directories,
        RegisteredKinds(KINDS),
        feed,
        max_queued=settings.max_queued_jobs,
        max_queued_per_key=settings.max_queued_jobs_per_key,
        wake=runner.wake,
        stop=runner.stop,
    )
    return runner, jobs


def _default_batch(device_type: str, cores: int) -> int:
    if device_type != "cpu":
        return _GPU_BATCH
    least, most = _CPU_BATCH_RANGE
    return min(most, max(least, _CPU_BATCH_A_CORE * cores))


async def _preload(describe: DescribeBackbones, settings: Settings) -> None:
    for name in settings.preload:
        with contextlib.suppress(PenultError):  # the pool keeps the reason, and GetBackbone shows it
            await describe.load(name)
