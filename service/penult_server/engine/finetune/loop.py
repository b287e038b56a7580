"""The fine-tuning loop, top to bottom: from a prepared network to the best weights that training found.

Everything random is a function of (seed, step), and a checkpoint holds the rest; so a run that is killed
anywhere goes on as if nothing had been. The weights of the best validation score are on disk at any time.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.data import Mixup
from torch import nn
from torch.nn import functional

from penult_server.engine.finetune.averages import Averages, Snapshots
from penult_server.engine.finetune.checkpoint import load_checkpoint, restore_optimizer, save_checkpoint
from penult_server.engine.finetune.curves import CurveFile
from penult_server.engine.finetune.data import Batch, load_batches, steps_in_epoch
from penult_server.engine.finetune.evaluate import Score, autocast, compute_dtype
from penult_server.engine.finetune.judge import consider, judge, score_of
from penult_server.engine.finetune.network import Classifier, parameter_groups
from penult_server.engine.finetune.optimizers import make_optimizer
from penult_server.engine.finetune.randomness import seed_everything
from penult_server.engine.finetune.remedies import (
    MAX_BAD_STEPS,
    diverged,
    halve,
    out_of_memory,
    restore,
    save_or_say,
    skipped,
    statistics_of,
)
from penult_server.engine.finetune.run import Material, Run
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.finetune.world import ALONE, World
from penult_server.engine.workers.task import Task

RATIO_STEPS = 10
"""How often the size of an update is measured: it takes a copy of the weights."""
_CUT = 0.5


def finetune(
    model: Classifier,
    material: Material,
    settings: FineTuneSettings,
    rate: float,
    place: Path,
    task: Task,
    world: World = ALONE,
    start: Mapping[str, tuple[float, float, int]] | None = None,
    verdict: Callable[[int, Score], str] | None = None,
) -> Run:
    """Trains, and leaves the best weights of each variant in `place` as `<variant>.safetensors`.

    Args:
        model: on its device, prepared by `network.prepare`.
        material: pictures and who judges.
        settings: the recipe.
        rate: peak learning rate.
        place: directory of this run; with a checkpoint in it, that run goes on.
        task: hears how it goes.
        world: the processes that train together.
        start: score of the model as it comes, under the name of what it is; it is kept unless something
            becomes better.
        verdict: hears the number of each epoch and the better score of the weights and their moving average;
            says why training is to end, or "".

    Raises:
        FailedPrecondition: TRAINING_DIVERGED before any epoch was finished.
        ResourceExhausted: OUT_OF_MEMORY even with half of the batch.
    """
    device = next(model.parameters()).device
    batch_size = min(settings.batch_size, len(material.train))
    each = steps_in_epoch(len(material.train), batch_size)
    total = settings.epochs * each
    schedule = settings.make_schedule()
    snapshot_steps = set(schedule.cycle_ends(total))
    groups = parameter_groups(model, settings)
    optimizer = make_optimizer(settings.optimizer, groups, rate, settings.optimizer_options)
    scaler = torch.amp.GradScaler(
        device.type, enabled=compute_dtype(device, settings.precision) is torch.float16
    )
    mixup = _mixup(settings, model.head.out_features)
    averages = Averages(model, settings)
    snapshots = Snapshots(place, settings.keep)
    learning = [parameter for group in groups for parameter in group["params"]]
    stages = model.stage_parameters()

    # Go on where a checkpoint is.
    run = Run(micro_batch=settings.micro_batch or batch_size, best=dict(start or {}))
    if saved := load_checkpoint(place / "last.safetensors"):
        model.load_state_dict(saved["model"])
        restore_optimizer(optimizer, saved["optimizer"])
        averages.load_state_dict(saved["averages"])
        scaler.load_state_dict(saved["scaler"])
        run = Run(**saved["run"])
        task.log(f"goes on after step {run.step} of {total}")
    elif world.leads:
        for name in run.best:
            save_checkpoint(place / f"{name}.safetensors", model.state_dict())
    if run.ended:
        return run
    curves = CurveFile(place, run.step, task) if world.leads else None
    if curves is not None and run.step == 0 and "probe" in run.best:
        accuracy, negative_loss, _ = run.best["probe"]
        curves.start(accuracy, -negative_loss)

    def checkpoint() -> None:
        if curves is None:
            return
        curves.flush()
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "averages": averages.state_dict(),
            "scaler": scaler.state_dict(),
            "run": dataclasses.asdict(run),
        }
        if save_or_say(place / "last.safetensors", state, "the checkpoint", task):
            task.saved()

    batches = load_batches(
        material.train, settings, material.preprocess, batch_size, run.step, total,
        pinned=device.type == "cuda", rank=world.rank, ranks=world.size,
    )  # fmt: skip
    last_checkpoint = last_step = time.monotonic()
    model.train()
    for batch in batches:
        loaded = time.monotonic()
        factor = schedule.factor(run.step, total)
        for group in optimizer.param_groups:
            group["lr"] = rate * run.rate_scale * factor * group["lr_scale"]
        seed_everything(settings.seed, run.step, world.rank)

        # Forward and backward, in parts that fit into memory; the gradient is that of the whole batch.
        statistics = statistics_of(model)
        while True:
            try:
                loss = _backward(model, batch, mixup, settings, scaler, run.micro_batch, batch_size)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
            optimizer.zero_grad(set_to_none=True)
            halve(run, task)
            restore(model, statistics)
            seed_everything(settings.seed, run.step, world.rank)
        world.sum_gradients(learning)
        loss = world.sum(loss)
        scaler.unscale_(optimizer)
        longest = settings.clip_norm or float("inf")
        norm = float(nn.utils.clip_grad_norm_(learning, longest, foreach=True))

        # The step, unless it would spoil the weights.
        ratios: dict[str, float] = {}
        good = np.isfinite(loss) and np.isfinite(norm)
        if good:
            before = _copies(stages) if run.step % RATIO_STEPS == 0 and curves is not None else {}
            scaler.step(optimizer)
            ratios = {stage: _ratio(stages[stage], old) for stage, old in before.items()}
            run.bad_in_a_row = 0
        elif not (scaler.is_enabled() and np.isfinite(loss)):  # else float16 is finding its scale
            run.bad_steps += 1
            run.bad_in_a_row += 1
            run.rate_scale *= _CUT
            restore(model, statistics)
            task.log(skipped(batch, material, run, loss), "warning")
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        run.step += 1
        if good:
            averages.after_step(model, run.step)

        now = time.monotonic()
        if curves is not None:
            values: dict[str, Any] = {
                "loss": loss, "rate": rate * run.rate_scale * factor, "factor": factor, "gradient_norm": norm,
                "images_per_second": batch_size / max(now - last_step, 1e-9), "seconds": now - last_step,
                "loading": (loaded - last_step) / max(now - last_step, 1e-9),
            }  # fmt: skip
            curves.step(run.step, {**values, "update_ratio": ratios} if ratios else values)
            task.progress(run.step, total, unit="steps", phase="train")
            if run.step - 1 in snapshot_steps:
                snapshots.take(model, run.step)
        last_step = now

        if run.bad_in_a_row >= MAX_BAD_STEPS:
            if run.step <= each or (world.leads and not run.best):
                raise diverged(rate)
            run.ended = (
                f"{MAX_BAD_STEPS} steps in a row had no finite loss; the best weights before them are kept"
            )
            break

        # Every epoch: judge, keep the best, stop where it no longer helps.
        if run.step % each == 0:
            if curves is not None:
                averages.after_epoch(model, run.step // each)
                epoch = run.step // each
                now_best = judge(model, averages, material, settings, run, epoch, place, curves, task)
                if run.waiting >= settings.epochs_of_patience():
                    run.ended = f"no better for {run.waiting} epochs"
                if verdict is not None:
                    run.ended = verdict(epoch, now_best) or run.ended
            if world.agree(bool(run.ended)):
                break
            model.train()
            last_step = time.monotonic()
        if run.step % each == 0 or now - last_checkpoint >= settings.checkpoint_seconds:
            checkpoint()
            last_checkpoint = time.monotonic()

    run.ended = run.ended or "all epochs are done"
    if curves is not None:
        if (mean := averages.mean_model) is not None:
            consider(
                "mean",
                mean,
                score_of(mean, material.validation, material, settings),
                run,
                run.step // each,
                place,
                task,
            )
        if not run.best:  # every epoch had a validation loss that was not finite
            raise diverged(rate)
        checkpoint()
        curves.close()
    world.wait()
    return run


def _backward(
    model: Classifier, batch: Batch, mixup: Mixup | None, settings: FineTuneSettings, scaler: Any,
    micro_batch: int, batch_size: int,
) -> float:  # fmt: skip
    """Gradients of the mean loss over `batch_size` pictures, of which `batch` is this process's part."""
    device = next(model.parameters()).device
    x = model.normalise(batch.pictures.to(device, non_blocking=True))
    targets = batch.targets.to(device, non_blocking=True)
    smoothing = settings.label_smoothing
    if mixup is not None:
        x, targets = mixup(x, targets)
        smoothing = 0.0  # mixup has smoothed them
    loss = 0.0
    for first in range(0, len(x), micro_batch):
        part = slice(first, first + micro_batch)
        with autocast(device, settings.precision):
            logits = model(x[part])
        summed = functional.cross_entropy(
            logits.float(), targets[part], label_smoothing=smoothing, reduction="sum"
        )
        share = summed / batch_size
        scaler.scale(share).backward()
        loss += float(share.detach())
    return loss


def _mixup(settings: FineTuneSettings, classes: int) -> Mixup | None:
    if not (settings.mixup or settings.cutmix):
        return None
    return Mixup(
        mixup_alpha=settings.mixup, cutmix_alpha=settings.cutmix, label_smoothing=settings.label_smoothing,
        num_classes=classes,
    )  # fmt: skip


def _copies(stages: dict[str, list[nn.Parameter]]) -> dict[str, list[torch.Tensor]]:
    return {name: [p.detach().clone() for p in parameters] for name, parameters in stages.items()}


def _ratio(now: list[nn.Parameter], before: list[torch.Tensor]) -> float:
    """Length of the update divided by that of the weights."""
    with torch.no_grad():
        moved = torch.stack([(a - b).norm() for a, b in zip(now, before, strict=True)]).norm()
        size = torch.stack([b.norm() for b in before]).norm()
    return float(moved / size.clamp_min(1e-12))
