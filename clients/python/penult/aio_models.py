"""`client.models` for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

from penult._archive_files import ArchiveFile, ArchiveUpload
from penult._atuning import AsyncTuningModels
from penult._datasets import new_request_id
from penult._exports import ExportFile
from penult._models import PAGE_SIZE, evaluate_request, model, split_reference, train_request
from penult.aio_jobs import AsyncJob
from penult.dataset_types import SplitName
from penult.evaluation_types import Evaluation
from penult.model_types import ExportFormat, Model, ModelExport
from penult.tta import TTA
from penult.v1 import model_archive_pb2
from penult.v1 import model_pb2 as pb


class AsyncModels(AsyncTuningModels):
    """The same for asyncio; `Models` explains the arguments."""

    async def train_head(
        self,
        name: str,
        *,
        dataset: str,
        head: str = "logistic_regression",
        backbone: str | None = None,
        augment: TTA = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> AsyncJob[Model]:
        """Starts a job that trains a classifier on the features of a dataset; its `result()` is the Model."""
        request = train_request(name, dataset, head, backbone, augment, parameters)
        return AsyncJob.of(self._link, (await self._link.call(self._stub.TrainHead, request, timeout)).job)

    @overload
    async def evaluate(
        self,
        name: str,
        *,
        dataset: str,
        split: SplitName = "test",
        wait: Literal[True] = True,
        timeout: float | None = None,
    ) -> Evaluation: ...

    @overload
    async def evaluate(
        self,
        name: str,
        *,
        dataset: str,
        split: SplitName = "test",
        wait: Literal[False],
        timeout: float | None = None,
    ) -> AsyncJob[Evaluation]: ...

    async def evaluate(
        self,
        name: str,
        *,
        dataset: str,
        split: SplitName = "test",
        wait: bool = True,
        timeout: float | None = None,
    ) -> Evaluation | AsyncJob[Evaluation]:
        """Measures a model on a split of a dataset."""
        request = evaluate_request(name, dataset, split)
        job: AsyncJob[Evaluation] = AsyncJob.of(
            self._link, (await self._link.call(self._stub.EvaluateModel, request, None)).job
        )
        return await job.result(timeout) if wait else job

    async def ensemble(self, name: str, models: Sequence[str], *, timeout: float | None = None) -> Model:
        """Makes a version that averages the probabilities of 2 to 16 others, as they are now."""
        request = pb.EnsembleModelsRequest(name=name, models=models, request_id=new_request_id())
        return model((await self._link.call(self._stub.EnsembleModels, request, timeout)).version)

    async def export(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        format: ExportFormat = "onnx",
        timeout: float | None = None,
    ) -> Path:
        """Writes a version into a file that works without the server, and returns the file's path."""
        request = pb.ExportModelRequest(model=name, format=format, request_id=new_request_id())
        started = await self._link.call(self._stub.ExportModel, request, None)
        job: AsyncJob[ModelExport] = AsyncJob.of(self._link, started.job)
        wanted = pb.DownloadExportRequest(job_id=job.id)
        with ExportFile(path, await job.result(timeout)) as file:
            async for response in self._link.stream(self._stub.DownloadExport, wanted, timeout):
                file.write(response.chunk)
        return file.path

    async def archive(self, name: str, path: str | os.PathLike[str], *, timeout: float | None = None) -> int:
        """Writes a version with all that it is made of to one file, and returns its size in bytes.

        The file appears whole or not at all. It is a ZIP; docs/models.md says what is in it.
        """
        request = model_archive_pb2.ArchiveModelRequest(model=name)
        with ArchiveFile(path) as file:
            async for response in self._link.stream(self._stub.ArchiveModel, request, timeout):
                file.take(response)
        return file.size

    async def import_archive(
        self, name: str, path: str | os.PathLike[str], *, timeout: float | None = None
    ) -> Model:
        """A new version of a model, new or not, of what `archive` wrote, here or on another server.

        Members of an ensemble become models of their own: NAME.m1, NAME.m2 and so on.

        Raises:
            FailedPrecondition: the backbone here gives other features than the model was trained on.
            InvalidArgument: the file is no archive, or a damaged one, or one of a newer Penult.
        """
        upload = await asyncio.to_thread(ArchiveUpload.of, path)
        seconds = timeout or upload.file.seconds(self._link.endpoint.timeout)
        return model((await self._link.call(self._stub.ImportModel, upload.imported(name), seconds)).version)

    async def get(self, name: str, *, timeout: float | None = None) -> Model:
        """One version with its evidence."""
        request = pb.GetModelRequest(model=name)
        return model((await self._link.call(self._stub.GetModel, request, timeout)).version)

    async def versions(self, name: str, *, timeout: float | None = None) -> list[Model]:
        """Every version of a model, newest first, without evidence."""
        request = pb.ListModelVersionsRequest(name=name, page_size=PAGE_SIZE)
        found: list[Model] = []
        while True:
            page = await self._link.call(self._stub.ListModelVersions, request, timeout)
            found += map(model, page.versions)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def set_alias(
        self, name: str, alias: str, version: int | None = None, *, timeout: float | None = None
    ) -> dict[str, int]:
        """Makes an alias point to a version (None: the latest), and returns all aliases of the model."""
        request = pb.SetModelAliasRequest(
            name=name, alias=alias, version=version or 0, request_id=new_request_id()
        )
        return dict((await self._link.call(self._stub.SetModelAlias, request, timeout)).model.aliases)

    async def remove_alias(self, name: str, alias: str, *, timeout: float | None = None) -> dict[str, int]:
        """Removes an alias, and returns those that are left."""
        request = pb.DeleteModelAliasRequest(name=name, alias=alias, request_id=new_request_id())
        return dict((await self._link.call(self._stub.DeleteModelAlias, request, timeout)).model.aliases)

    async def delete(self, name: str, *, timeout: float | None = None) -> int:
        """Removes a model, or with NAME@VERSION one version, and returns how many versions went."""
        name, version = split_reference(name)
        if version is None:
            whole = pb.DeleteModelRequest(name=name, request_id=new_request_id())
            return int((await self._link.call(self._stub.DeleteModel, whole, timeout)).deleted)
        one = pb.DeleteModelVersionRequest(name=name, version=version, request_id=new_request_id())
        await self._link.call(self._stub.DeleteModelVersion, one, timeout)
        return 1

    async def list(self, *, timeout: float | None = None) -> list[Model]:
        """The latest version of every model, by name; every page is fetched."""
        request = pb.ListModelsRequest(page_size=PAGE_SIZE)
        found: list[Model] = []
        while True:
            page = await self._link.call(self._stub.ListModels, request, timeout)
            found += (model(message.latest) for message in page.models)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
