"""Datasets' features, models, and the jobs that make and measure them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping

from penult_server.core.archive_model import ArchiveModel
from penult_server.core.classifier import LoadedHeads
from penult_server.core.dataset_features import DatasetFeatures
from penult_server.core.dataset_ports import DatasetSnapshots, DatasetStore
from penult_server.core.describe_backbones import DescribeBackbones
from penult_server.core.evaluate_model import KIND as EVALUATE_MODEL
from penult_server.core.evaluate_model import EvaluateModel
from penult_server.core.export_model import KIND as EXPORT_MODEL
from penult_server.core.export_model import ExportModel
from penult_server.core.extract import ExtractFeatures
from penult_server.core.finetune import KIND as FINE_TUNE
from penult_server.core.finetune_model import FineTune
from penult_server.core.finish_jobs import FinishJobs
from penult_server.core.images import ImageLimits, PixelImage
from penult_server.core.job_ports import Publish, Stage
from penult_server.core.manage_jobs import ManageJobs
from penult_server.core.manage_models import ManageModels
from penult_server.core.model_files import ModelFiles
from penult_server.core.own_backbones import StoredBackbones
from penult_server.core.plot_jobs import PlotJobs, PlotTraining
from penult_server.core.ports import ImagePreprocessor
from penult_server.core.predict import PredictImages
from penult_server.core.publish_finetuned import PublishFineTuned
from penult_server.core.train_head import KIND as TRAIN_HEAD
from penult_server.core.train_head import TrainHead
from penult_server.core.tune_model import PlotTuning, Tune
from penult_server.core.tuning import KIND as TUNE
from penult_server.engine.exports import job as _  # noqa: F401 - registers a kind of job
from penult_server.engine.exports.base import RegisteredFormats
from penult_server.engine.finetune import job as _job  # noqa: F401 - registers a kind of job
from penult_server.engine.finetune.recipes import EnginePlots, EngineRecipes
from penult_server.engine.head_jobs import evaluate_model, train_head  # noqa: F401 - register kinds of job
from penult_server.engine.head_jobs.load import EngineHeads
from penult_server.engine.loader import Loader
from penult_server.engine.probe_pictures import probe_pictures
from penult_server.engine.tuning import job as _tuning  # noqa: F401 - registers a kind of job
from penult_server.engine.tuning.methods import EngineTuning, EngineTuningPlots
from penult_server.settings import Settings
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.database import Database
from penult_server.store.exports import ExportStore
from penult_server.store.feature_cache import FeatureCache
from penult_server.store.job_directories import JobDirectories
from penult_server.store.model_archives import ZipModelArchives
from penult_server.store.models import DatabaseModels
from penult_server.transport.model_service import ModelService

_PHOTOGRAPH = (320, 320)
"""Height and width in pixels of those that an export is checked with."""


class ModelStores:
    """Rows and files of models, which backbones are found in too."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Opens them."""
        self.artifacts = ArtifactStore(settings.data_dir / "models")
        self.models = DatabaseModels(database, self.artifacts, settings.quotas())
        self.backbones = StoredBackbones(self.models, self.artifacts)


@dataclasses.dataclass(frozen=True, slots=True)
class ModelParts:
    """What the server needs of models. `cache` is to be closed after all calls and jobs."""

    service: ModelService
    finish: FinishJobs
    plots: PlotJobs
    stages: Mapping[str, Stage]
    publish: Mapping[str, Publish]
    features: DatasetFeatures
    models: DatabaseModels
    artifacts: ArtifactStore
    cache: FeatureCache


def model_parts(
    settings: Settings,
    stores: ModelStores,
    extract: ExtractFeatures,
    backbones: DescribeBackbones,
    jobs: ManageJobs,
    snapshots: DatasetSnapshots,
    datasets: DatasetStore,
    preprocess: ImagePreprocessor,
    loader: Loader,
    limits: ImageLimits,
    device: str,
) -> ModelParts:
    """Puts them together; `device` is "cpu" or "cuda"."""
    cache = FeatureCache(settings.data_dir / "cache" / "features.db", settings.feature_cache_mb << 20)
    features = DatasetFeatures(extract, cache)
    artifacts, models, heads = stores.artifacts, stores.models, EngineHeads()
    code_version = importlib.metadata.version("penult")
    training = TrainHead(
        jobs, snapshots, backbones, heads, features, models, artifacts,
        device=device, code_version=code_version,
    )  # fmt: skip
    evaluate = EvaluateModel(jobs, snapshots, features, models, artifacts)
    loaded = LoadedHeads(models, artifacts, heads, settings.head_memory_mb << 20)
    catalog = {
        "checkpoint_dir": str(settings.checkpoint_dir.absolute()) if settings.checkpoint_dir else "",
        "imported_dir": str((settings.data_dir / "backbones").absolute()),
        "allow_download": settings.allow_download,
    }
    publisher, recipes = (
        PublishFineTuned(models, artifacts, loader, code_version=code_version),
        EngineRecipes(),
    )
    fine_tune = FineTune(
        jobs, snapshots, datasets, backbones, recipes, models, artifacts, publisher,
        catalog=catalog, limits=limits, device=device, rendezvous=settings.rendezvous or "",
    )  # fmt: skip
    tune = Tune(jobs, fine_tune, recipes, EngineTuning(), publisher)
    directories = JobDirectories(settings.data_dir / "jobs")
    plots = PlotJobs(
        jobs,
        directories,
        {
            FINE_TUNE: PlotTraining(EnginePlots(), artifacts),
            TUNE: PlotTuning(EngineTuningPlots(), artifacts),
        },
    )
    export = ExportModel(
        jobs, models, artifacts, RegisteredFormats(),
        ExportStore(settings.data_dir / "exports", keep=settings.keep_exports), loaded, extract, preprocess,
        [PixelImage(pixels) for pixels in probe_pictures(_PHOTOGRAPH)],
        catalog=catalog,
    )  # fmt: skip
    archive = ArchiveModel(
        models, artifacts, heads, loader, extract,
        ZipModelArchives(artifacts, settings.data_dir / "model-archives"),
        max_bytes=settings.max_model_mb << 20,
    )  # fmt: skip
    service = ModelService(
        ManageModels(models), training, PredictImages(loaded, extract), evaluate, export, fine_tune, tune,
        ModelFiles(models, artifacts), archive,
    )  # fmt: skip
    return ModelParts(
        service,
        FinishJobs(jobs, directories, [FINE_TUNE]),
        plots,
        stages={TRAIN_HEAD: training.stage, EVALUATE_MODEL: evaluate.stage, EXPORT_MODEL: export.stage},
        publish={
            TRAIN_HEAD: training.publish,
            FINE_TUNE: fine_tune.publish,
            TUNE: tune.publish,
            EXPORT_MODEL: export.publish,
        },
        features=features,
        models=models,
        artifacts=artifacts,
        cache=cache,
    )
