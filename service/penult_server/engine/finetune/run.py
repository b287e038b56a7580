"""What a run of training works on, and where it is."""

from __future__ import annotations

import dataclasses

import numpy as np

from penult_server.core.preprocess import Preprocess
from penult_server.engine.finetune.data import TrainingSet


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What training works on. `names` are for people, one for each training picture.

    `validation` and `watched` are positions in the pictures with their classes: those that judge, and the
    training pictures that show how well what was trained on is known.
    """

    train: TrainingSet
    names: tuple[str, ...]
    validation: tuple[np.ndarray, np.ndarray]
    watched: tuple[np.ndarray, np.ndarray]
    preprocess: Preprocess


@dataclasses.dataclass
class Run:
    """Where a run is. Part of every checkpoint."""

    step: int = 0
    rate_scale: float = 1.0
    micro_batch: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    best: dict[str, tuple[float, float, int]] = dataclasses.field(default_factory=dict)
    """Score and epoch of the best weights so far, by variant: `plain`, `ema`, later `mean`."""
    waiting: int = 0
    """Epochs since any of them became better."""
    remedies: list[str] = dataclasses.field(default_factory=list)
    ended: str = ""
    """Why training is over, once it is."""

    def winner(self) -> str:
        """The variant with the best score. Raises where no epoch was judged."""
        return max(self.best, key=lambda variant: self.best[variant][:2])
