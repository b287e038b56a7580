"""Averages of weights beside the weights themselves: they often generalise better, and cost no training.

`ema` is the exponential moving average of every step (Polyak and Juditsky 1992), `mean` the plain mean of
the last epochs' weights (Izmailov et al. 2018, arXiv:1803.05407). Snapshots of a cyclic schedule become an
ensemble (Huang et al. 2017, arXiv:1704.00109).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from timm.utils import ModelEmaV3
from torch.optim.swa_utils import AveragedModel

from penult_server.engine.finetune.checkpoint import load_checkpoint, save_checkpoint
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.settings import FineTuneSettings


class Averages:
    """The averages that the settings ask for."""

    def __init__(self, model: Classifier, settings: FineTuneSettings) -> None:
        """Starts from the model as it is."""
        self.ema = ModelEmaV3(model, decay=settings.ema, use_warmup=True) if settings.ema else None
        self.mean: AveragedModel | None = None
        if settings.average_from < 1:
            self.mean = AveragedModel(model, use_buffers=True).requires_grad_(False)
        self._mean_from = settings.average_from * settings.epochs

    def after_step(self, model: Classifier, step: int) -> None:
        """`step` steps are done."""
        if self.ema is not None:
            self.ema.update(model, step=step)

    def after_epoch(self, model: Classifier, epochs: int) -> None:
        """`epochs` epochs are done."""
        if self.mean is not None and epochs > self._mean_from:
            self.mean.update_parameters(model)

    @property
    def mean_model(self) -> Classifier | None:
        """The mean of at least two epochs, if there is one."""
        if self.mean is None or int(self.mean.n_averaged) < 2:
            return None
        return cast(Classifier, self.mean.module)

    @property
    def ema_model(self) -> Classifier | None:
        """The moving average, if it is wanted."""
        return None if self.ema is None else self.ema.module

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        found: dict[str, Any] = {}
        if self.ema is not None:
            found["ema"] = self.ema.module.state_dict()
        if self.mean is not None:
            found["mean"] = self.mean.state_dict()
        return found

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint of the same settings."""
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])


class Snapshots:
    """Weights at the ends of the last cycles, as files."""

    def __init__(self, directory: Path, keep: int) -> None:
        """`keep`: at most so many; 0 for none."""
        self._directory = directory
        self._keep = keep

    def take(self, model: Classifier, step: int) -> None:
        """Keeps the weights after `step` steps, and drops the oldest where there are too many."""
        if not self._keep:
            return
        save_checkpoint(self._directory / f"snapshot-{step:08d}.safetensors", model.state_dict())
        for file in self.files()[: -self._keep]:
            file.unlink()

    def files(self) -> list[Path]:
        """Those that are kept, oldest first."""
        return sorted(self._directory.glob("snapshot-*.safetensors"))

    def each(self, model: Classifier, use: Callable[[Classifier], torch.Tensor]) -> list[torch.Tensor]:
        """What `use` gives for each of them, put into `model` one after the other."""
        found = []
        for file in self.files():
            state = load_checkpoint(file)
            assert state is not None
            model.load_state_dict(state)
            found.append(use(model))
        return found
