"""Convex losses of linear models: value, gradient by the scores, and curvature, for many classes at once.

Every loss is a mean over weighted rows. `joint`: all classes are one problem; else each class is its own
against the rest, and values come one a class.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import torch

Evaluated = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Value, float64 () or (classes,); gradient (N, classes); curvature (classes,): mean second derivative."""


class Loss(Protocol):
    """A loss with its targets."""

    joint: bool

    def at(self, scores: torch.Tensor) -> Evaluated:
        """Evaluated at scores (N, classes), which it leaves alone."""
        ...


@dataclasses.dataclass(slots=True)
class Softmax:
    """Multinomial cross-entropy. `targets` int64 (N,); `weights` (N,) add up to 1."""

    targets: torch.Tensor
    weights: torch.Tensor
    joint: bool = True

    def at(self, scores: torch.Tensor) -> Evaluated:
        """See Loss."""
        own = self.targets[:, None]
        shifted = scores - scores.amax(dim=1, keepdim=True)
        lead = shifted.gather(1, own)
        p = shifted.exp_()
        total = p.sum(dim=1, keepdim=True)
        value = ((total.log() - lead).squeeze(1) * self.weights).sum(dtype=torch.float64)
        p /= total
        curvature = self.weights @ p - self.weights @ p.square()
        p.scatter_add_(1, own, torch.full_like(lead, -1))
        p *= self.weights[:, None]
        return value, p, curvature


@dataclasses.dataclass(slots=True)
class Logistic:
    """Binary cross-entropy of each class. `member` bool and `weights` (N, classes); these add up to 1."""

    member: torch.Tensor
    weights: torch.Tensor
    joint: bool = False

    def at(self, scores: torch.Tensor) -> Evaluated:
        """See Loss."""
        aim = self.member.to(scores.dtype)
        p = torch.sigmoid(scores)
        loss = torch.nn.functional.softplus(scores) - aim * scores
        value = (loss * self.weights).sum(dim=0, dtype=torch.float64)
        curvature = (self.weights * p * (1 - p)).sum(dim=0)
        return value, (p - aim) * self.weights, curvature


@dataclasses.dataclass(slots=True)
class SquaredHinge:
    """max(0, 1 - y s)^2 of each class, as LIBLINEAR's L2-loss SVM. As Logistic; `sign` is +1 or -1."""

    sign: torch.Tensor
    weights: torch.Tensor
    joint: bool = False

    def at(self, scores: torch.Tensor) -> Evaluated:
        """See Loss."""
        gap = (1 - self.sign * scores).clamp_(min=0)
        pull = self.weights * gap
        value = (pull * gap).sum(dim=0, dtype=torch.float64)
        curvature = 2 * (self.weights * (gap > 0)).sum(dim=0)
        return value, pull.mul_(self.sign).mul_(-2), curvature
