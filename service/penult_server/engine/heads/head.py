"""A trained head: features in, probabilities out; the same on every machine that loads its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from penult_server.core.errors import InvalidArgument
from penult_server.engine.heads.base import Scorer
from penult_server.engine.heads.calibrate import Calibration
from penult_server.engine.heads.normalise import Normaliser
from penult_server.engine.heads.registry import find

Activation = Literal["softmax", "sigmoid"]
_CHUNK = 8192


@dataclasses.dataclass(frozen=True, slots=True)
class LinearHead:
    """A head as one linear layer: probabilities are `activation(x @ weight.T + bias)`.

    Here x is the feature itself or, with `l2`, the feature scaled to length 1. Standardising and
    calibration are folded in. `weight` is float32 (classes, dim), `bias` float32 (classes,).
    """

    weight: np.ndarray
    bias: np.ndarray
    l2: bool
    activation: Activation


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """A fitted head of a registered kind.

    Attributes:
        kind: its name in the registry.
        classes: labels, in the order of the columns of `probabilities`.
        multi_label: each probability is that of its own label, and they do not add up to 1.
        dim: length of a feature.
    """

    kind: str
    classes: tuple[str, ...]
    multi_label: bool
    dim: int
    normaliser: Normaliser
    scorer: Scorer
    calibration: Calibration

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Float32 (N, classes) of features (N, dim).

        Raises:
            InvalidArgument: FEATURES_MALFORMED, they have another shape or are not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise InvalidArgument(
                "FEATURES_MALFORMED", f"the head takes features of {self.dim} values, not {features.shape}"
            )
        if not np.isfinite(features).all():
            raise InvalidArgument("FEATURES_MALFORMED", "there are features that are not finite")
        parts = [
            self.calibration(self.scorer.scores(self.normaliser(features[start : start + _CHUNK])))
            for start in range(0, len(features), _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)

    def linear(self) -> LinearHead | None:
        """The head folded into one layer, for exporters; None for a head that is not linear."""
        pair = self.scorer.linear()
        if pair is None:
            return None
        weight, bias = (array.astype(np.float64) for array in pair)
        if self.normaliser.mean is not None and self.normaliser.deviation is not None:
            weight = weight / self.normaliser.deviation
            bias = bias - weight @ self.normaliser.mean.astype(np.float64)
        weight = weight * np.reshape(self.calibration.slope, (-1, 1))
        bias = bias * self.calibration.slope + self.calibration.offset
        return LinearHead(
            weight.astype(np.float32),
            bias.astype(np.float32),
            self.normaliser.kind == "l2",
            "sigmoid" if self.multi_label else "softmax",
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Every number of the head."""
        parts: dict[str, dict[str, np.ndarray]] = {
            "normaliser": self.normaliser.arrays(),
            "scorer": self.scorer.arrays(),
            "calibration": {"slope": self.calibration.slope, "offset": self.calibration.offset},
        }
        return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def config(self) -> dict[str, Any]:
        """All else, as JSON."""
        return {
            "kind": self.kind,
            "classes": list(self.classes),
            "multi_label": self.multi_label,
            "dim": self.dim,
            "normalisation": self.normaliser.kind,
            "scorer": self.scorer.config(),
        }

    @classmethod
    def restore(cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Head:
        """The same head again. Raises KeyError, TypeError or ValueError where something is missing."""

        def part(name: str) -> dict[str, np.ndarray]:
            return {
                key.removeprefix(f"{name}."): array
                for key, array in arrays.items()
                if key.startswith(f"{name}.")
            }

        calibration = part("calibration")
        return cls(
            kind=config["kind"],
            classes=tuple(config["classes"]),
            multi_label=config["multi_label"],
            dim=config["dim"],
            normaliser=Normaliser.restore(config["normalisation"], part("normaliser")),
            scorer=find(config["kind"]).restore(config["scorer"], part("scorer")),
            calibration=Calibration(calibration["slope"], calibration["offset"], config["multi_label"]),
        )
