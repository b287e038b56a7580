"""Datasets' features, models, and the jobs that make and measure them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping

from penult_server.core.classifier import LoadedHeads
from penult_server.core.dataset_features import DatasetFeatures
from penult_server.core.dataset_ports import DatasetSnapshots
from penult_server.core.describe_backbones import DescribeBackbones
from penult_server.core.evaluate_model import KIND as EVALUATE_MODEL
from penult_server.core.evaluate_model import EvaluateModel
from penult_server.core.export_model import KIND as EXPORT_MODEL
from penult_server.core.export_model import ExportModel
from penult_server.core.extract import ExtractFeatures
from penult_server.core.images import PixelImage
from penult_server.core.job_ports import Publish, Stage
from penult_server.core.manage_jobs import ManageJobs
from penult_server.core.manage_models import ManageModels
from penult_server.core.ports import ImagePreprocessor
from penult_server.core.predict import PredictImages
from penult_server.core.train_head import KIND as TRAIN_HEAD
from penult_server.core.train_head import TrainHead
from penult_server.engine.exports import job as _  # noqa: F401 - registers a kind of job
from penult_server.engine.exports.base import RegisteredFormats
from penult_server.engine.head_jobs import evaluate_model, train_head  # noqa: F401 - register kinds of job
from penult_server.engine.head_jobs.load import EngineHeads
from penult_server.engine.probe_pictures import probe_pictures
from penult_server.settings import Settings
from penult_server.store.artifacts import ArtifactStore
from penult_server.store.database import Database
from penult_server.store.exports import ExportStore
from penult_server.store.feature_cache import FeatureCache
from penult_server.store.models import DatabaseModels
from penult_server.transport.model_service import ModelService

_PHOTOGRAPH = (320, 320)
"""Height and width in pixels of those that an export is checked with."""


@dataclasses.dataclass(frozen=True, slots=True)
class ModelParts:
    """What the server needs of models. `cache` is to be closed after all calls and jobs."""

    service: ModelService
    stages: Mapping[str, Stage]
    publish: Mapping[str, Publish]
    features: DatasetFeatures
    models: DatabaseModels
    artifacts: ArtifactStore
    cache: FeatureCache


def model_parts(
    settings: Settings,
    database: Database,
    extract: ExtractFeatures,
    backbones: DescribeBackbones,
    jobs: ManageJobs,
    snapshots: DatasetSnapshots,
    preprocess: ImagePreprocessor,
    device: str,
) -> ModelParts:
    """Puts them together; `device` is "cpu" or "cuda"."""
    cache = FeatureCache(settings.data_dir / "cache" / "features.db", settings.feature_cache_mb << 20)
    features = DatasetFeatures(extract, cache)
    artifacts, heads = ArtifactStore(settings.data_dir / "models"), EngineHeads()
    models = DatabaseModels(database, artifacts)
    training = TrainHead(
        jobs, snapshots, backbones, heads, features, models, artifacts,
        device=device, code_version=importlib.metadata.version("penult"),
    )  # fmt: skip
    evaluate = EvaluateModel(jobs, snapshots, features, models, artifacts)
    loaded = LoadedHeads(models, artifacts, heads, settings.head_memory_mb << 20)
    export = ExportModel(
        jobs, models, artifacts, RegisteredFormats(),
        ExportStore(settings.data_dir / "exports", keep=settings.keep_exports), loaded, extract, preprocess,
        [PixelImage(pixels) for pixels in probe_pictures(_PHOTOGRAPH)],
        catalog={
            "checkpoint_dir": str(settings.checkpoint_dir.absolute()) if settings.checkpoint_dir else "",
            "imported_dir": str((settings.data_dir / "backbones").absolute()),
            "allow_download": settings.allow_download,
        },
    )  # fmt: skip
    return ModelParts(
        ModelService(ManageModels(models), training, PredictImages(loaded, extract), evaluate, export),
        stages={TRAIN_HEAD: training.stage, EVALUATE_MODEL: evaluate.stage, EXPORT_MODEL: export.stage},
        publish={TRAIN_HEAD: training.publish, EXPORT_MODEL: export.publish},
        features=features,
        models=models,
        artifacts=artifacts,
        cache=cache,
    )
