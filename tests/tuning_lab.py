"""A place for trials without a process of its own, for tests of tuning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from penult_server.core.errors import PenultError
from penult_server.core.jobs import JobError
from penult_server.engine.finetune.prepared import examine_job
from penult_server.engine.finetune.settings import parse_settings
from penult_server.engine.tuning.slots import TrialFailed
from penult_server.engine.tuning.trial import train_trial
from penult_server.engine.workers.task import Task
from tests.finetune_lab import task_in


class Here:
    """Implements engine.tuning.slots.Slot."""

    def __init__(self, task: Task, parameters: Mapping[str, Any]) -> None:
        self._task = task
        self._quiet, _ = task_in(task.directory)
        self._examined = examine_job(self._quiet, parameters, parse_settings(parameters["settings"]))

    def train(self, settings: Any, place: Path, verdict: Any, hear: Any) -> Mapping[str, Any]:
        trial = {"settings": settings, "place": place}
        try:
            return train_trial(self._examined, trial, torch.device("cpu"), self._task, self._quiet, verdict)
        except PenultError as error:
            raise TrialFailed(JobError(error.reason, error.message, error.hint)) from error

    def close(self) -> None:
        pass


def here(task: Task, parameters: Mapping[str, Any], device: torch.device, number: int) -> list[Here]:
    """In the place of `engine.tuning.job._slots`."""
    return [Here(task, parameters)]
