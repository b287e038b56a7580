"""What each rpc needs: one line for each, and a test that none is missing.

`read` looks at things and computes features and predictions, `write` changes what is kept, `train` starts
and steers long work, `admin` touches what all users share.
"""

from __future__ import annotations

from collections.abc import Mapping

from penult_server.core.access import Scope

OPEN_SERVICE = "grpc.health.v1.Health"
"""Needs no key, so that load balancers and probes need none."""

SCOPES: Mapping[str, Mapping[str, Scope]] = {
    "penult.v1.BackboneService": {
        "ListBackbones": Scope.READ,
        "GetBackbone": Scope.READ,
        "LoadBackbone": Scope.READ,  # as any extraction does
        "UnloadBackbone": Scope.ADMIN,
        "ImportBackbone": Scope.WRITE,
    },
    "penult.v1.DatasetService": {
        "CreateDataset": Scope.WRITE,
        "GetDataset": Scope.READ,
        "ListDatasets": Scope.READ,
        "DeleteDataset": Scope.WRITE,
        "UploadExamples": Scope.WRITE,
        "ListExamples": Scope.READ,
        "GetExampleImages": Scope.READ,
        "RelabelExamples": Scope.WRITE,
        "SplitDataset": Scope.WRITE,
        "DeleteExamples": Scope.WRITE,
        "ExportManifest": Scope.READ,
        "AnalyzeDataset": Scope.TRAIN,
    },
    "penult.v1.FeatureService": {
        "Extract": Scope.READ,
        "ExtractStream": Scope.READ,
    },
    "penult.v1.IndexService": {
        "CreateIndex": Scope.WRITE,
        "GetIndex": Scope.READ,
        "ListIndexes": Scope.READ,
        "DeleteIndex": Scope.WRITE,
        "AddItems": Scope.WRITE,
        "AddItemsStream": Scope.WRITE,
        "RemoveItems": Scope.WRITE,
        "GetItems": Scope.READ,
        "ListItems": Scope.READ,
        "AddDataset": Scope.WRITE,
        "Search": Scope.READ,
        "SearchStream": Scope.READ,
        "EvaluateIndex": Scope.TRAIN,
        "OptimizeIndex": Scope.TRAIN,
        "GetIndexStats": Scope.READ,
        "SnapshotIndex": Scope.READ,
        "RestoreIndex": Scope.WRITE,
        "SetIndexAlias": Scope.WRITE,
        "DeleteIndexAlias": Scope.WRITE,
        "ReembedIndex": Scope.TRAIN,
        "FindNearDuplicates": Scope.TRAIN,
    },
    "penult.v1.JobService": {
        "GetJob": Scope.READ,
        "ListJobs": Scope.READ,
        "WatchJob": Scope.READ,
        "PlotJob": Scope.READ,
        "CancelJob": Scope.TRAIN,
        "FinishJob": Scope.TRAIN,
        "ResumeJob": Scope.TRAIN,
        "DeleteJob": Scope.TRAIN,
    },
    "penult.v1.ModelService": {
        "TrainHead": Scope.TRAIN,
        "FineTune": Scope.TRAIN,
        "Tune": Scope.TRAIN,
        "DrawSchedule": Scope.READ,
        "GetModel": Scope.READ,
        "ListModels": Scope.READ,
        "ListModelVersions": Scope.READ,
        "DeleteModel": Scope.WRITE,
        "DeleteModelVersion": Scope.WRITE,
        "SetModelAlias": Scope.WRITE,
        "DeleteModelAlias": Scope.WRITE,
        "Predict": Scope.READ,
        "PredictStream": Scope.READ,
        "EvaluateModel": Scope.TRAIN,
        "ExportModel": Scope.TRAIN,
        "DownloadExport": Scope.READ,
        "ListModelFiles": Scope.READ,
        "DownloadModelFile": Scope.READ,
        "ArchiveModel": Scope.READ,
        "ImportModel": Scope.WRITE,
        "EnsembleModels": Scope.TRAIN,
    },
    "grpc.reflection.v1alpha.ServerReflection": {
        "ServerReflectionInfo": Scope.READ,
    },
}


def scope_of(method: str) -> Scope:
    """Of a full name such as `/penult.v1.JobService/GetJob`; what the table lacks only an admin may call."""
    return _found(method) or Scope.ADMIN


def known(method: str) -> bool:
    """Whether the table has it."""
    return _found(method) is not None


def _found(method: str) -> Scope | None:
    service, _, name = method.removeprefix("/").partition("/")
    return SCOPES.get(service, {}).get(name)
