"""What a search over the settings of fine-tuning returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from penult.model_types import Model

TrialState = Literal["running", "finished", "pruned", "cut", "failed"]
Space: TypeAlias = Mapping[str, Any]
"""Settings that vary: `{"low": 1e-5, "high": 1e-2, "log": True}`, a list of choices, or one value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """One fine-tuning with settings of its own.

    Attributes:
        number: 1, 2, 3, ...
        stage: 1 searched the whole space, 2 around the best of the first.
        settings: what was varied.
        state: "pruned" and "cut" were ended early, because others were better or the time was over.
        accuracies: on the validation images, one for each epoch.
        losses: mean cross-entropy of the same.
        accuracy: of the best weights that it trained; None where it has none.
        loss: of the same weights.
        seconds: that it took.
        reason: why it failed, such as "TRAINING_DIVERGED"; `message` says more.
    """

    number: int
    stage: int
    settings: Mapping[str, Any]
    state: TrialState
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    accuracy: float | None
    loss: float | None
    seconds: float
    reason: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Tuning:
    """The trials of a search, and the model made of the best.

    Attributes:
        model: with the weights that the best trial has trained, measured on the test images.
        trials: in the order in which they began.
        best_trial: number of the best; `notes` says how much of its validation accuracy may be luck.
        search: how settings were searched for.
        pruner: how trials were ended early.
        spaces: what was searched, one for each stage.
        validation_count: images that judged the trials.
        notes: what the trials say and what they do not.
        seconds: that all trials took together.
    """

    model: Model
    trials: tuple[Trial, ...]
    best_trial: int
    search: str
    pruner: str
    spaces: tuple[Space, ...]
    validation_count: int
    notes: tuple[str, ...]
    seconds: float

    @property
    def best(self) -> Trial:
        """The trial that the model is of. Not in a list of jobs, which leaves the trials out."""
        return {trial.number: trial for trial in self.trials}[self.best_trial]
