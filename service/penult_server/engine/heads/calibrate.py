"""Scores to probabilities.

One label an image: softmax of the scores times one factor, the inverse temperature (Guo et al. 2017,
"On Calibration of Modern Neural Networks"). Several: a sigmoid for each class (Platt 1999,
"Probabilistic Outputs for Support Vector Machines"). Both are fitted on images held out, with Platt's
smoothed targets, so that a perfect separation gives no infinite factor.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_LOG_FACTOR = (-12.0, 12.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Probabilities are softmax (multi-label: sigmoid) of `slope * scores + offset`.

    Both are float32 (1,) or (classes,).
    """

    slope: np.ndarray
    offset: np.ndarray
    multi_label: bool

    @classmethod
    def none(cls, *, multi_label: bool) -> Calibration:
        """Leaves scores as they are."""
        return cls(np.ones(1, np.float32), np.zeros(1, np.float32), multi_label)

    @classmethod
    def fit(cls, scores: np.ndarray, targets: np.ndarray) -> Calibration:
        """From scores (N, classes) of images held out; int64 (N,) or bool (N, classes) targets."""
        if targets.ndim == 1:
            return cls(_temperature(scores, targets), np.zeros(1, np.float32), False)
        pairs = np.array([_platt(scores[:, n], targets[:, n]) for n in range(scores.shape[1])], np.float32)
        return cls(pairs[:, 0].copy(), pairs[:, 1].copy(), True)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """float32 (N, classes) probabilities; those of an image add up to 1 unless multi-label."""
        values = scores.astype(np.float64) * self.slope + self.offset
        if self.multi_label:
            return _sigmoid(values).astype(np.float32)
        return _softmax(values).astype(np.float32)


def _temperature(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    from scipy.optimize import minimize_scalar

    wide = scores.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    own = wide[np.arange(len(wide)), targets]
    smooth = 1 / (len(wide) + 2)
    # A little of each image's target lies evenly on all classes.
    aim = (1 - smooth) * own + smooth * wide.mean(axis=1)

    def loss(log_factor: float) -> float:
        factor = np.exp(log_factor)
        return float(np.mean(np.log(np.exp(factor * wide).sum(axis=1)) - factor * aim))

    # The usual size of scores differs from head to head.
    unit = -np.log(max(float(np.std(wide)), 1e-12))
    low, high = _LOG_FACTOR
    found = minimize_scalar(loss, bounds=(unit + low, unit + high), method="bounded")
    return np.array([np.exp(found.x)], np.float32)


def _platt(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    from scipy.optimize import minimize

    positive = int(targets.sum())
    negative = len(targets) - positive
    aims = np.where(targets, (positive + 1) / (positive + 2), 1 / (negative + 2))
    unit = max(float(np.std(scores)), 1e-12)
    x = scores.astype(np.float64) / unit

    def loss(pair: np.ndarray) -> tuple[float, np.ndarray]:
        z = pair[0] * x + pair[1]
        off = _sigmoid(z) - aims
        return float(np.mean(np.logaddexp(0, z) - aims * z)), np.array([np.mean(off * x), np.mean(off)])

    start = np.array([1.0, np.log((positive + 1) / (negative + 1))])
    # A class with a negative slope would turn its scores around.
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return float(found.x[0]) / unit, float(found.x[1])


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * values))
