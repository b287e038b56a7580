"""Judging a network on pictures as they are served."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional

from penult_server.core.finetune import Precision
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.pictures import Pictures
from penult_server.engine.machine import cores

_BATCH = 32


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Score:
    """Accuracy in [0, 1], then the lower cross-entropy; the greater score is the better one."""

    accuracy: float
    negative_loss: float

    @property
    def loss(self) -> float:
        """Mean cross-entropy, without label smoothing."""
        return -self.negative_loss


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Mixed precision for a forward pass; `auto` is bfloat16 or float16 on a GPU, nothing on a CPU."""
    kind = compute_dtype(device, precision)
    if kind is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, kind)


def compute_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """What the forward pass computes in."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def outputs(
    model: Classifier,
    compute: Callable[[torch.Tensor], torch.Tensor],
    pictures: Pictures,
    positions: np.ndarray,
    precision: Precision = "float32",
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """What `compute`, the model or its features, gives for pictures as they are served.

    Returns:
        float32 (n, …) in the order of `positions`. The model is left in evaluation mode.
    """
    model.eval()
    found: list[np.ndarray] = []
    done = 0
    with torch.inference_mode(), autocast(next(model.parameters()).device, precision):
        for x in served_batches(model, pictures, positions, _BATCH):
            found.append(compute(x).float().cpu().numpy())
            done += len(x)
            if progress is not None:
                progress(done)
    return np.concatenate(found)


def served_batches(
    model: Classifier, pictures: Pictures, positions: np.ndarray, size: int
) -> Iterator[torch.Tensor]:
    """Pictures as they are served, `size` at once, normalised, on the model's device."""
    device = next(model.parameters()).device
    with ThreadPoolExecutor(cores()) as pool:
        for first in range(0, len(positions), size):
            batch = [int(n) for n in positions[first : first + size]]
            pixels = np.stack(list(pool.map(pictures.served, batch)))
            yield model.normalise(torch.from_numpy(pixels).to(device))


def score(logits: np.ndarray, targets: np.ndarray) -> Score:
    """Accuracy and cross-entropy of logits float (n, classes) for classes int (n,)."""
    scores, classes = torch.from_numpy(logits), torch.from_numpy(targets)
    loss = float(functional.cross_entropy(scores, classes)) if len(targets) else float("nan")
    if not np.isfinite(loss):
        loss = float("inf")
    return Score(float((logits.argmax(axis=1) == targets).mean()), -loss)
