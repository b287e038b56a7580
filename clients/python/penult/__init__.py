"""Penult's Python client: features of images from a Penult server.

client = penult.Client("127.0.0.1:50051")
features = client.extract("photos/*.jpg")  # float32 (N, dim)
"""

from penult._channel import Tls
from penult._version import __version__
from penult.aio import AsyncClient
from penult.aio_index import AsyncIndex
from penult.aio_jobs import AsyncJob
from penult.analysis_types import AnalyzedExample, DatasetAnalysis, DuplicateGroup, LabelCount
from penult.client import Client
from penult.dataset_types import ChangeSummary, ClassCount, Dataset, Example, SplitCounts, UploadSummary
from penult.errors import (
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ItemFailed,
    JobFailed,
    NotFound,
    PenultError,
    PermissionDenied,
    ResourceExhausted,
    SkippedImages,
    Unauthenticated,
    Unavailable,
)
from penult.evaluation_types import (
    CalibrationBin,
    ClassScore,
    CurvePoint,
    Evaluation,
    Evidence,
    LearningPoint,
    Mistake,
)
from penult.index import Index
from penult.index_types import (
    AddSummary,
    DuplicateItem,
    DuplicateItems,
    Hit,
    IndexEvaluation,
    IndexInfo,
    IndexStats,
    Item,
    NearDuplicates,
    RemoveSummary,
)
from penult.job_types import Finding, JobError, JobEvent, JobPlot, JobProgress
from penult.jobs import Job
from penult.model_types import Lineage, Model, ModelExport, ModelFile, Prediction, PredictionBatch, Schedule
from penult.sources import image_files
from penult.tta import TestTimeAugmentation
from penult.tuning_types import Trial, Tuning
from penult.types import Backbone, FeatureBatch, Health, ItemError, Preprocess

__all__ = [
    "AddSummary",
    "AlreadyExists",
    "AnalyzedExample",
    "AsyncClient",
    "AsyncIndex",
    "AsyncJob",
    "Backbone",
    "CalibrationBin",
    "Cancelled",
    "ChangeSummary",
    "ClassCount",
    "ClassScore",
    "Client",
    "CurvePoint",
    "DataLoss",
    "Dataset",
    "DatasetAnalysis",
    "DeadlineExceeded",
    "DuplicateGroup",
    "DuplicateItem",
    "DuplicateItems",
    "Evaluation",
    "Evidence",
    "Example",
    "FailedPrecondition",
    "FeatureBatch",
    "Finding",
    "Health",
    "Hit",
    "Index",
    "IndexEvaluation",
    "IndexInfo",
    "IndexStats",
    "Internal",
    "InvalidArgument",
    "Item",
    "ItemError",
    "ItemFailed",
    "Job",
    "JobError",
    "JobEvent",
    "JobFailed",
    "JobPlot",
    "JobProgress",
    "LabelCount",
    "LearningPoint",
    "Lineage",
    "Mistake",
    "Model",
    "ModelExport",
    "ModelFile",
    "NearDuplicates",
    "NotFound",
    "PenultError",
    "PermissionDenied",
    "Prediction",
    "PredictionBatch",
    "Preprocess",
    "RemoveSummary",
    "ResourceExhausted",
    "Schedule",
    "SkippedImages",
    "SplitCounts",
    "TestTimeAugmentation",
    "Tls",
    "Trial",
    "Tuning",
    "Unauthenticated",
    "Unavailable",
    "UploadSummary",
    "__version__",
    "image_files",
]
