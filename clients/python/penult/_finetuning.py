"""The part of `client.models` that fine-tunes, and fetches what a version is made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penult._exports import ModelFolder
from penult._models import as_struct, finetune_request, model_file, schedule
from penult._predict import Predicting
from penult.jobs import Job
from penult.model_types import Model, ModelFile, Schedule
from penult.v1 import model_pb2 as pb


class FineTuning(Predicting):
    """Base of `Models`."""

    def finetune(
        self,
        name: str,
        *,
        dataset: str,
        backbone: str | None = None,
        init_from: str | None = None,
        timeout: float | None = None,
        **settings: Any,
    ) -> Job[Model]:
        """Starts a job that trains a backbone end to end on a dataset; its `result()` is the Model.

        `job.watch()` streams its live metrics, `client.jobs.plot(job.id, "curves.png")` draws them. What came
        out is also a backbone: give `Model.backbone` ("models/NAME@VERSION") wherever a call takes one.

        Args:
            name: of the model, new or not; each training adds a version.
            dataset: to learn from, as it is now.
            backbone: whose weights training starts from; None is the server's default.
            init_from: in its place, the model whose backbone training starts from, such as "clothing@3".
            timeout: seconds for the call, not for the job.
            **settings: of the training (docs/finetuning.md lists them); what is left out has its default.

        Raises:
            InvalidArgument: an unknown or wrong setting, optimiser, schedule or layer.
            FailedPrecondition: the dataset cannot be trained on.
        """
        request = finetune_request(name, dataset, backbone, init_from, settings)
        return Job.of(self._link, self._link.call(self._stub.FineTune, request, timeout).job)

    def draw_schedule(self, *, dataset: str, timeout: float | None = None, **settings: Any) -> Schedule:
        """The learning rate of every step that `finetune` would make with these settings, drawn."""
        request = pb.DrawScheduleRequest(dataset=dataset, settings=as_struct(settings))
        return schedule(self._link.call(self._stub.DrawSchedule, request, timeout))

    def files(self, name: str, *, timeout: float | None = None) -> list[ModelFile]:
        """The files of a version, as the server keeps them. Raises FailedPrecondition for an ensemble."""
        request = pb.ListModelFilesRequest(model=name)
        return [*map(model_file, self._link.call(self._stub.ListModelFiles, request, timeout).files)]

    def download(
        self,
        name: str,
        folder: str | os.PathLike[str],
        *,
        files: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> list[Path]:
        """Fetches files of a version into a folder, and returns their paths.

        Args:
            name: of the model, maybe with version or alias.
            folder: is made where it is missing.
            files: names or patterns, such as "curves.png" and "events.*"; None for all.
            timeout: seconds for each file.
        """
        listed = self._link.call(self._stub.ListModelFiles, pb.ListModelFilesRequest(model=name), timeout)
        paths = []
        for wanted, target in ModelFolder(folder, listed, files).files():
            with target as file:
                for response in self._link.stream(self._stub.DownloadModelFile, wanted, timeout):
                    file.write(response.chunk)
            paths.append(target.path)
        return paths
