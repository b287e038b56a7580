"""Statistics of batch norm from the pictures at hand, before anything learns (AdaBN, arXiv:1603.04779).

Training normalises by the statistics of its batches. On pictures unlike those of pre-training these are other
features than the ones that a backbone serves, and a probe that was fitted to the latter is no start for it:
on solar cells the loss of the first step was 2.5, that of the probe 0.3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from penult_server.engine.finetune.evaluate import served_batches
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.run import Material

_MOST_BATCHES = 64
_ORDER = 0


def adapt_statistics(
    model: Classifier, material: Material, batch_size: int, progress: Callable[[int], None]
) -> bool:
    """Gives the batch norms that will be updated the mean statistics of batches of training pictures.

    Args:
        model: prepared; its weights stay as they are. It is left in evaluation mode.
        material: the pictures are seen as they are served.
        batch_size: that of training, which the statistics depend on.
        progress: is told how many pictures are done.

    Returns:
        Whether there was any such batch norm.
    """
    model.train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    train = material.train
    size = min(batch_size, len(train))
    order = np.random.default_rng(_ORDER).permutation(train.positions)
    try:
        whole = order[: min(len(order) // size, _MOST_BATCHES) * size if norms else 0]
        with torch.no_grad():
            for done, x in enumerate(served_batches(model, train.pictures, whole, size), 1):
                model.features(x)
                progress(done * size)
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
    model.eval()
    return bool(norms)
