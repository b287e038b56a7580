"""The part of `client.models` for asyncio that fine-tunes, and fetches what a version is made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penult._apredict import AsyncPredicting
from penult._exports import ModelFolder
from penult._models import as_struct, finetune_request, model_file, schedule
from penult.aio_jobs import AsyncJob
from penult.model_types import Model, ModelFile, Schedule
from penult.v1 import model_pb2 as pb


class AsyncFineTuning(AsyncPredicting):
    """Base of `AsyncModels`; `FineTuning` explains the arguments."""

    async def finetune(
        self,
        name: str,
        *,
        dataset: str,
        backbone: str | None = None,
        init_from: str | None = None,
        timeout: float | None = None,
        **settings: Any,
    ) -> AsyncJob[Model]:
        """Starts a job that trains a backbone end to end on a dataset; its `result()` is the Model."""
        request = finetune_request(name, dataset, backbone, init_from, settings)
        return AsyncJob.of(self._link, (await self._link.call(self._stub.FineTune, request, timeout)).job)

    async def draw_schedule(self, *, dataset: str, timeout: float | None = None, **settings: Any) -> Schedule:
        """The learning rate of every step that `finetune` would make with these settings, drawn."""
        request = pb.DrawScheduleRequest(dataset=dataset, settings=as_struct(settings))
        return schedule(await self._link.call(self._stub.DrawSchedule, request, timeout))

    async def files(self, name: str, *, timeout: float | None = None) -> list[ModelFile]:
        """The files of a version, as the server keeps them. Raises FailedPrecondition for an ensemble."""
        request = pb.ListModelFilesRequest(model=name)
        return [*map(model_file, (await self._link.call(self._stub.ListModelFiles, request, timeout)).files)]

    async def download(
        self,
        name: str,
        folder: str | os.PathLike[str],
        *,
        files: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> list[Path]:
        """Fetches files of a version into a folder, and returns their paths."""
        request = pb.ListModelFilesRequest(model=name)
        listed = await self._link.call(self._stub.ListModelFiles, request, timeout)
        paths = []
        for wanted, target in ModelFolder(folder, listed, files).files():
            with target as file:
                async for response in self._link.stream(self._stub.DownloadModelFile, wanted, timeout):
                    file.write(response.chunk)
            paths.append(target.path)
        return paths
