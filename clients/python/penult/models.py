"""`client.models`: classifiers on the server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

from penult._archive_files import ArchiveFile, ArchiveUpload
from penult._datasets import new_request_id
from penult._exports import ExportFile
from penult._models import PAGE_SIZE, evaluate_request, model, split_reference, train_request
from penult._tuning import TuningModels
from penult.dataset_types import SplitName
from penult.evaluation_types import Evaluation
from penult.jobs import Job
from penult.model_types import ExportFormat, Model, ModelExport
from penult.tta import TTA
from penult.v1 import model_archive_pb2
from penult.v1 import model_pb2 as pb


class Models(TuningModels):
    """The models of a server. Every method raises PenultError; NotFound where the name is unknown.

    Where a model is used, "clothing" is its latest version, "clothing@3" that version, and
    "clothing@production" the one that the alias points to.
    """

    def train_head(
        self,
        name: str,
        *,
        dataset: str,
        head: str = "logistic_regression",
        backbone: str | None = None,
        augment: TTA = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Job[Model]:
        """Starts a job that trains a classifier on the features of a dataset; its `result()` is the Model.

        Args:
            name: of the model, new or not; each training adds a version.
            dataset: to learn from, as it is now.
            head: kind of classifier.
            backbone: whose features it takes; None is the server's default.
            augment: views of each training image that are trained on beside the plain one, such as "flip".
            timeout: seconds for the call, not for the job.
            **parameters: of this kind of head; what is left out has its default.

        Raises:
            InvalidArgument: an unknown head or parameter.
            FailedPrecondition: the dataset has no labels, or one class only.
        """
        request = train_request(name, dataset, head, backbone, augment, parameters)
        return Job.of(self._link, self._link.call(self._stub.TrainHead, request, timeout).job)

    @overload
    def evaluate(
        self,
        name: str,
        *,
        dataset: str,
        split: SplitName = "test",
        wait: Literal[True] = True,
        timeout: float | None = None,
    ) -> Evaluation: ...

    @overload
    def evaluate(
        self,
        name: str,
        *,
        dataset: str,
        split: SplitName = "test",
        wait: Literal[False],
        timeout: float | None = None,
    ) -> Job[Evaluation]: ...

    def evaluate(
        self,
        name: str,
        *,
        dataset: str,
        split: SplitName = "test",
        wait: bool = True,
        timeout: float | None = None,
    ) -> Evaluation | Job[Evaluation]:
        """Measures a model on a split of a dataset.

        Args:
            name: of the model, maybe with version or alias.
            dataset: whose images to measure on, as it is now. Images that the model was trained on make the
                figures too good.
            split: of the dataset.
            wait: returns the Evaluation; else the job at once.
            timeout: seconds to wait for it, None for as long as it takes.
        """
        request = evaluate_request(name, dataset, split)
        job: Job[Evaluation] = Job.of(
            self._link, self._link.call(self._stub.EvaluateModel, request, None).job
        )
        return job.result(timeout) if wait else job

    def ensemble(self, name: str, models: Sequence[str], *, timeout: float | None = None) -> Model:
        """Makes a version that averages the probabilities of 2 to 16 others, as they are now.

        They must know the same classes, and may have different backbones. Raises FailedPrecondition
        CLASSES_DIFFER where they do not.
        """
        request = pb.EnsembleModelsRequest(name=name, models=models, request_id=new_request_id())
        return model(self._link.call(self._stub.EnsembleModels, request, timeout).version)

    def export(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        format: ExportFormat = "onnx",
        timeout: float | None = None,
    ) -> Path:
        """Writes a version into a file that works without the server, and returns the file's path.

        The server checks that the file answers as it does itself (see `ModelExport.max_difference`).

        Args:
            name: of the model, maybe with version or alias; no ensemble.
            path: a file, or a folder that gets a file such as "shoes-3.onnx".
            format: "onnx" (pictures to probabilities), "checkpoint" (tensors of timm's or torchvision's own
                model with the head in its last layer; for linear heads with another normalisation than
                "l2") or "arrays" (the head's numbers and JSON).
            timeout: seconds to wait for the file, None for as long as it takes.

        Raises:
            JobFailed: the format cannot hold this model; the hint says what can be done.
            InvalidArgument: an unknown format, or `path` cannot be written.
        """
        request = pb.ExportModelRequest(model=name, format=format, request_id=new_request_id())
        started = self._link.call(self._stub.ExportModel, request, None)
        job: Job[ModelExport] = Job.of(self._link, started.job)
        wanted = pb.DownloadExportRequest(job_id=job.id)
        with ExportFile(path, job.result(timeout)) as file:
            for response in self._link.stream(self._stub.DownloadExport, wanted, timeout):
                file.write(response.chunk)
        return file.path

    def archive(self, name: str, path: str | os.PathLike[str], *, timeout: float | None = None) -> int:
        """Writes a version with all that it is made of to one file, and returns its size in bytes.

        The file appears whole or not at all. It is a ZIP; docs/models.md says what is in it.
        """
        request = model_archive_pb2.ArchiveModelRequest(model=name)
        with ArchiveFile(path) as file:
            for response in self._link.stream(self._stub.ArchiveModel, request, timeout):
                file.take(response)
        return file.size

    def import_archive(
        self, name: str, path: str | os.PathLike[str], *, timeout: float | None = None
    ) -> Model:
        """A new version of a model, new or not, of what `archive` wrote, here or on another server.

        Members of an ensemble become models of their own: NAME.m1, NAME.m2 and so on.

        Raises:
            FailedPrecondition: the backbone here gives other features than the model was trained on.
            InvalidArgument: the file is no archive, or a damaged one, or one of a newer Penult.
        """
        upload = ArchiveUpload.of(path)
        seconds = timeout or upload.file.seconds(self._link.endpoint.timeout)
        return model(self._link.call(self._stub.ImportModel, upload.imported(name), seconds).version)

    def get(self, name: str, *, timeout: float | None = None) -> Model:
        """One version with its evidence."""
        request = pb.GetModelRequest(model=name)
        return model(self._link.call(self._stub.GetModel, request, timeout).version)

    def versions(self, name: str, *, timeout: float | None = None) -> list[Model]:
        """Every version of a model, newest first, without evidence."""
        request = pb.ListModelVersionsRequest(name=name, page_size=PAGE_SIZE)
        found: list[Model] = []
        while True:
            page = self._link.call(self._stub.ListModelVersions, request, timeout)
            found += map(model, page.versions)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def set_alias(
        self, name: str, alias: str, version: int | None = None, *, timeout: float | None = None
    ) -> dict[str, int]:
        """Makes an alias point to a version (None: the latest), and returns all aliases of the model."""
        request = pb.SetModelAliasRequest(
            name=name, alias=alias, version=version or 0, request_id=new_request_id()
        )
        return dict(self._link.call(self._stub.SetModelAlias, request, timeout).model.aliases)

    def remove_alias(self, name: str, alias: str, *, timeout: float | None = None) -> dict[str, int]:
        """Removes an alias, and returns those that are left."""
        request = pb.DeleteModelAliasRequest(name=name, alias=alias, request_id=new_request_id())
        return dict(self._link.call(self._stub.DeleteModelAlias, request, timeout).model.aliases)

    def delete(self, name: str, *, timeout: float | None = None) -> int:
        """Removes a model, or with NAME@VERSION one version, and returns how many versions went.

        Raises FailedPrecondition while an alias points there, or an ensemble uses it.
        """
        name, version = split_reference(name)
        if version is None:
            whole = pb.DeleteModelRequest(name=name, request_id=new_request_id())
            return int(self._link.call(self._stub.DeleteModel, whole, timeout).deleted)
        one = pb.DeleteModelVersionRequest(name=name, version=version, request_id=new_request_id())
        self._link.call(self._stub.DeleteModelVersion, one, timeout)
        return 1

    def list(self, *, timeout: float | None = None) -> list[Model]:
        """The latest version of every model, by name; every page is fetched."""
        request = pb.ListModelsRequest(page_size=PAGE_SIZE)
        found: list[Model] = []
        while True:
            page = self._link.call(self._stub.ListModels, request, timeout)
            found += (model(message.latest) for message in page.models)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
