"""What core asks of tuning before a job starts and while one runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from penult_server.core.finetune import Augmentation
from penult_server.core.finetune_ports import JobPlot
from penult_server.core.search_space import Space
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.tuning.options import checked
from penult_server.engine.tuning.plot import plot_trials
from penult_server.engine.tuning.pruning import find_pruner
from penult_server.engine.tuning.record import study_of
from penult_server.engine.tuning.search import find_search

USUAL_SEARCH, USUAL_PRUNER = "tpe", "median"
_COMMON = frozenset(
    {"start", "optimizer_options", "schedule_options", "keep_averages", "validation_share", "preflight",
     "seed", "checkpoint_seconds", "loader_workers", "processes", "nodes",
     "cache_mb"}
)  # fmt: skip
"""Settings that all trials have in common: what they are judged on, and what changes no result."""
_RATES = (1 / 30, 10.0)
"""Ends of the usual range of learning rates, relative to the optimiser's usual one."""


class EngineTuning:
    """Implements core.tune_ports.TuningMethods."""

    def tunable(self) -> Mapping[str, bool]:
        """See core.tune_ports.TuningMethods."""
        fields = FineTuneSettings.model_fields
        return {name: field.annotation is int for name, field in fields.items() if name not in _COMMON}

    def usual_space(self, settings: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """See core.tune_ports.TuningMethods."""
        complete = FineTuneSettings(**settings)
        low, high = (float(f"{complete.usual_rate() * share:.2g}") for share in _RATES)
        usual: dict[str, Any] = {
            "learning_rate": {"low": low, "high": high, "log": True},
            "weight_decay": {"low": 1e-4, "high": 0.3, "log": True},
        }
        trains_backbone = complete.trainable != "head"
        if trains_backbone:
            usual["layer_decay"] = {"low": 0.6, "high": 1.0}
        usual["label_smoothing"] = {"low": 0.0, "high": 0.2}
        usual["augmentation"] = list(get_args(Augmentation))
        if trains_backbone and complete.start == "pretrained":
            usual["batch_norm"] = ["frozen", "update"]
        return {name: values for name, values in usual.items() if name not in given}

    def validate(self, methods: Mapping[str, Any]) -> dict[str, Any]:
        """See core.tune_ports.TuningMethods."""
        search, pruner = methods.get("search") or USUAL_SEARCH, methods.get("pruner") or USUAL_PRUNER
        way, rule = find_search(search), find_pruner(pruner)
        return {
            "search": search,
            "search_options": _complete(way.Options, methods, "search_options"),
            "pruner": pruner,
            "pruner_options": _complete(rule.Options, methods, "pruner_options"),
        }

    def budget(self, methods: Mapping[str, Any], space: Space) -> tuple[int | None, float]:
        """See core.tune_ports.TuningMethods."""
        way = find_search(methods["search"])
        return way.points(space, way.Options(**methods["search_options"])), way.refine


class EngineTuningPlots:
    """Implements core.tune_ports.TuningPlots."""

    def plot(self, space: Space, file: Path) -> JobPlot | None:
        """See core.tune_ports.TuningPlots."""
        study = study_of(space, file)
        if not any(trial.epochs for trial in study.trials):
            return None
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "trials.png"
            plot_trials(study, picture)
            return JobPlot(picture.read_bytes(), [])


def _complete(options: Any, methods: Mapping[str, Any], field: str) -> dict[str, Any]:
    found: dict[str, Any] = checked(options, methods.get(field) or {}, field).model_dump(mode="json")
    return found
