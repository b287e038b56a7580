"""The linear probe: a logistic regression on frozen features, which fine-tuning starts from.

Its weights become the head as they are, so they must suit a trunk that is about to move. Features are
therefore centred and brought to one common scale, and not standardised one by one: a dimension that hardly
ever moves would get a weight in inverse proportion to its spread (280 where others have 0.3, on the solar
cells of the benchmark), and the first step of the trunk that wakes it up would ruin every answer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from penult_server.engine.finetune.evaluate import Score, outputs, score
from penult_server.engine.finetune.network import Classifier
from penult_server.engine.finetune.run import Material

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the regularisation that are tried, on features of mean variance 1."""
_LEAST_SCALE = 1e-8


def linear_probe(model: Classifier, material: Material, progress: Callable[[int], None]) -> Score:
    """Puts the best logistic regression into the head; its weights absorb mean and scale of the features.

    Args:
        model: its head is set; its trunk is as it was.
        material: the probe with the best validation score wins.
        progress: is told how many pictures are done.

    Returns:
        The validation score of what is now in the head.
    """
    train, (positions, targets) = material.train, material.validation
    both = np.concatenate([train.positions, positions])
    features = outputs(model, model.features, train.pictures, both, progress=progress).astype(np.float64)
    known, judged = features[: len(train)], features[len(train) :]
    mean = known.mean(axis=0)
    scale = max(float(np.sqrt(known.var(axis=0).mean())), _LEAST_SCALE)
    best: tuple[Score, np.ndarray, np.ndarray] | None = None
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=300).fit((known - mean) / scale, train.targets)
        weight, bias = fitted.coef_, fitted.intercept_
        if len(weight) == 1:  # two classes have one row: the log odds
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight = weight / scale
        bias = bias - weight @ mean
        now = score((judged @ weight.T + bias).astype(np.float32), targets)
        if best is None or now > best[0]:
            best = (now, weight, bias)
    assert best is not None
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(best[1]))
        model.head.bias.copy_(torch.from_numpy(best[2]))
    return best[0]
