"""What a run does about trouble under way, and what it says: the remedies of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penult_server.core.disk_faults import is_full
from penult_server.core.errors import FailedPrecondition, ResourceExhausted
from penult_server.engine.finetune.checkpoint import save_checkpoint
from penult_server.engine.finetune.data import Batch
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.run import Material, Run
from penult_server.engine.workers.task import Task

MAX_BAD_STEPS = 5
"""Steps in a row without a finite loss and gradient, after which training ends."""
_NAMED = 8


def statistics_of(model: Classifier) -> list[torch.Tensor]:
    """The running statistics, where they are updated: a forward pass that fails must not leave a trace."""
    return [] if model.frozen_statistics else [buffer.clone() for buffer in model.buffers()]


def restore(model: Classifier, statistics: list[torch.Tensor]) -> None:
    """Puts them back."""
    with torch.no_grad():
        for buffer, old in zip(model.buffers() if statistics else (), statistics, strict=True):
            buffer.copy_(old)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch means that memory ran out, on a GPU or on the host."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in words


def halve(run: Run, task: Task) -> None:
    """Once, and said; a second time means that something else is wrong."""
    if run.micro_batch == 1 or any("memory" in remedy for remedy in run.remedies):
        raise ResourceExhausted(
            "OUT_OF_MEMORY",
            f"there is not enough memory to train on {run.micro_batch} images at once",
            hint="a smaller micro_batch, fewer trainable stages, or a smaller backbone",
        )
    run.micro_batch = (run.micro_batch + 1) // 2
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    remedy = f"out of memory: gradients now accumulate over parts of {run.micro_batch} images"
    run.remedies.append(remedy)
    task.log(remedy, "warning")


def skipped(batch: Batch, material: Material, run: Run, loss: float) -> str:
    """What to say about a step that was left out: the images of its batch."""
    names = [material.names[int(place)] for place in batch.places[:_NAMED]]
    more = f" and {len(batch.places) - _NAMED} more" if len(batch.places) > _NAMED else ""
    what = "the gradient was" if np.isfinite(loss) else "the loss was"
    return (
        f"step {run.step + 1}: {what} not finite; the step is skipped and the learning rate cut to "
        f"{run.rate_scale:g} of itself; images: {', '.join(names)}{more}"
    )


def diverged(rate: float) -> FailedPrecondition:
    """The refusal to go on where nothing was learnt yet."""
    return FailedPrecondition(
        "TRAINING_DIVERGED",
        f"training diverged at once: no finite loss to go on from, at a learning rate of {rate:g}",
        hint="a learning rate 10 times lower, or learning_rate='proposed'",
    )


def save_or_say(file: Path, state: Mapping[str, Any], what: str, task: Task) -> bool:
    """Saves; a full disk must not end a run that has a checkpoint already. True if there was room."""
    try:
        save_checkpoint(file, state)
    except OSError as error:
        if not is_full(error):
            raise
        task.log(
            f"no room on the disk for {what}: what was saved before stays, and training goes on", "warning"
        )
        return False
    return True
