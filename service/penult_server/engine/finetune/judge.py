"""Judging a run after each epoch, and keeping the best weights that it had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from penult_server.core.finish_jobs import FINISH
from penult_server.engine.finetune.averages import Averages
from penult_server.engine.finetune.curves import CurveFile
from penult_server.engine.finetune.evaluate import Score, outputs, score
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.remedies import save_or_say
from penult_server.engine.finetune.run import Material, Run
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.workers.task import Task


def judge(
    model: Classifier,
    averages: Averages,
    material: Material,
    settings: FineTuneSettings,
    run: Run,
    epoch: int,
    place: Path,
    curves: CurveFile,
    task: Task,
) -> Score:
    """Scores the weights and their moving average, and keeps the best so far. The better of the two."""
    now = score_of(model, material.validation, material, settings)
    seen = score_of(model, material.watched, material, settings)
    values = {
        "epoch": float(epoch), "train_accuracy": seen.accuracy, "train_loss": seen.loss,
        "accuracy": now.accuracy, "validation_loss": now.loss,
        "validation_count": float(len(material.validation[0])),
    }  # fmt: skip
    best = now
    better = consider("plain", model, now, run, epoch, place, task)
    if (ema := averages.ema_model) is not None:
        smooth = score_of(ema, material.validation, material, settings)
        values |= {"ema_accuracy": smooth.accuracy, "ema_validation_loss": smooth.loss}
        best = max(now, smooth)
        better = consider("ema", ema, smooth, run, epoch, place, task) or better
    run.waiting = 0 if better else run.waiting + 1
    curves.epoch(run.step, values)
    task.log(
        f"epoch {epoch}: {100 * now.accuracy:.1f} % of {len(material.validation[0])} validation images, "
        f"{100 * seen.accuracy:.1f} % in training"
    )
    return best


def finish_on_request(directory: Path) -> Callable[[int, Score], str]:
    """Ends training where somebody asked for it: see core.finish_jobs. `directory` is that of the job."""

    def verdict(epoch: int, best: Score) -> str:
        return f"asked to finish: ended after epoch {epoch}" if (directory / FINISH).exists() else ""

    return verdict


def score_of(
    model: Classifier, judged: tuple[np.ndarray, np.ndarray], material: Material, settings: FineTuneSettings
) -> Score:
    """How good the model is on `judged`: positions of pictures, and their classes."""
    positions, targets = judged
    return score(outputs(model, model, material.train.pictures, positions, settings.precision), targets)


def consider(
    variant: str, model: Classifier, now: Score, run: Run, epoch: int, place: Path, task: Task
) -> bool:
    """Keeps the weights if they are the best of their variant; True if they are the best of all."""
    best_of_all = max((entry[:2] for entry in run.best.values()), default=(-1.0, 0.0))
    entry = (now.accuracy, now.negative_loss, epoch)
    if variant in run.best and entry[:2] <= tuple(run.best[variant][:2]):
        return False
    if not np.isfinite(now.loss):
        return False
    if not save_or_say(
        place / f"{variant}.safetensors", model.state_dict(), f"the weights of epoch {epoch}", task
    ):
        return False
    run.best[variant] = entry
    return entry[:2] > tuple(best_of_all)
