"""Limited-memory BFGS for linear models (Liu and Nocedal 1989), preconditioned, many problems at once.

Scores are linear in the weights, so that a step along a direction costs no matrix product: an iteration
takes two of them, however many steps its line search tries. The first Hessian of each iteration is
diagonal: curvature of the loss times the spread of each column, plus the penalty. It is nearly exact in
principal axes (basis.py).

Runs on whatever device its tensors are on. Losses are added up in float64, all else is float32.
"""

from __future__ import annotations

import collections
import dataclasses

import torch

from penult_server.engine.heads.losses import Evaluated, Loss

_HISTORY = 12
_FALLEN, _RISEN = 0.9, 0.4
"""A step is taken where the slope has risen to 0.9 times what it was at most, or past 0 to 0.4 at most."""
_TRIES = 6
_ARMIJO = 1e-4
_LEAST_CURVATURE = 0.1
"""Of a class, as a share of that at zero: where a loss is saturated its curvature says nothing."""
_STALLS, _PROGRESS = 3, 0.03
"""After so many steps in a row that each gained less than this share of the tolerance, a run ends."""
_TINY = 1e-12


@dataclasses.dataclass(frozen=True, slots=True)
class Objective:
    """loss(z @ w.T) + strength / 2 * |w * penalised|^2.

    Attributes:
        z: float32 (N, columns).
        loss: of (N, classes) scores.
        penalised: float32 (columns,), 1 or, for a bias, 0.
        strength: of the penalty, beside a loss that is a mean.
    """

    z: torch.Tensor
    loss: Loss
    penalised: torch.Tensor
    strength: float

    def dot(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Of two weights, float64 (1, 1), or (classes, 1) where each class is a problem of its own."""
        if self.loss.joint:
            return torch.dot(a.flatten(), b.flatten()).double().reshape(1, 1)
        return torch.linalg.vecdot(a, b, dim=1).double()[:, None]

    def along(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Of two (N, classes), shaped as `dot`."""
        if self.loss.joint:
            return torch.dot(a.flatten(), b.flatten()).double().reshape(1, 1)
        return torch.linalg.vecdot(a, b, dim=0).double()[:, None]


@dataclasses.dataclass(slots=True)
class _State:
    """Where a run is: weights, their scores, and what the loss says there."""

    w: torch.Tensor
    scores: torch.Tensor
    found: Evaluated


def minimise(
    objective: Objective, start: torch.Tensor, *, tolerance: float, most: int, floor: float = 0.0
) -> torch.Tensor:
    """The weights (classes, columns) where the objective is least.

    Stops where half the slope along the search direction, which is how much a Newton step would gain,
    is below `tolerance` of the objective for every problem, or after `most` iterations. An objective
    below `floor` times that of no weights at all counts as that much.
    """
    z, strength = objective.z, objective.strength
    spread = z.square().mean(dim=0)
    state = _State(start.clone(), z @ start.T, objective.loss.at(z @ start.T))
    history: collections.deque[tuple[torch.Tensor, ...]] = collections.deque(maxlen=_HISTORY)
    gradient = _gradient(objective, state)
    nothing = objective.loss.at(state.scores * 0)
    least = floor * _value(objective, _State(start * 0, state.scores, nothing))
    usual = _LEAST_CURVATURE * nothing[2]
    last = float("inf")
    stalls = 0
    for _ in range(most):
        bent = torch.maximum(state.found[2], usual)[:, None]
        scale = bent * spread + strength * objective.penalised + _TINY
        direction = -_two_loops(objective, gradient, 1 / scale, history)
        slope = objective.dot(gradient, direction)
        value = _value(objective, state)
        enough = tolerance * torch.maximum(value, least.clamp(min=1e-3 * float(value.mean())))
        open_ = -slope / 2 > enough
        # Rounding ends the descent before the slope shows it where the loss is nearly 0.
        stalls = stalls + 1 if float(value.sum()) > last * (1 - _PROGRESS * tolerance) else 0
        last = float(value.sum())
        if stalls == _STALLS or not bool(open_.any()):
            break
        direction = direction * open_
        step = _line_search(objective, state, direction, slope * open_, enough / 10)
        before, gradient = gradient, _gradient(objective, state)
        s, y = step * direction, gradient - before
        curvature = objective.dot(s, y)
        history.append((s, y, torch.where(curvature > 0, 1 / curvature, 0).float()))
    return state.w


def _value(objective: Objective, state: _State) -> torch.Tensor:
    penalty = objective.dot(state.w * objective.penalised, state.w) * (objective.strength / 2)
    return penalty + state.found[0].reshape(penalty.shape)


def _gradient(objective: Objective, state: _State) -> torch.Tensor:
    return state.found[1].T @ objective.z + objective.strength * objective.penalised * state.w


def _two_loops(
    objective: Objective,
    gradient: torch.Tensor,
    inverse: torch.Tensor,
    history: collections.deque[tuple[torch.Tensor, ...]],
) -> torch.Tensor:
    """The inverse Hessian of the last steps, times the gradient."""
    q = gradient.clone()
    factors = []
    for s, y, rho in reversed(history):
        alpha = rho * objective.dot(s, q).float()
        factors.append(alpha)
        q -= alpha * y
    q *= inverse
    for (s, y, rho), alpha in zip(history, reversed(factors), strict=True):
        q += (alpha - rho * objective.dot(y, q).float()) * s
    return q


def _line_search(
    objective: Objective, state: _State, direction: torch.Tensor, slope: torch.Tensor, enough: torch.Tensor
) -> torch.Tensor:
    """Moves the state to where the slope along the direction is nearly flat; returns the step, as `dot`.

    It is flat as well where a better step would gain less than `enough`. The slope of a convex function only
    rises, so that the secant of two slopes finds its root; an end that stays is discounted (Illinois).
    """
    moved = objective.z @ direction.T
    before = state.found[0].reshape(slope.shape)
    penalised = direction * objective.penalised
    bend = objective.strength * objective.dot(penalised, direction)
    tilt = objective.strength * objective.dot(penalised, state.w)
    low, high = torch.zeros_like(slope), torch.full_like(slope, float("inf"))
    low_slope, high_slope = slope.clone(), torch.zeros_like(slope)
    step = torch.ones_like(slope)
    attempt = 0
    while True:
        attempt += 1
        scores = torch.addcmul(state.scores, moved, step.T.float())  # (1, 1) or (1, classes)
        found = objective.loss.at(scores)
        now = objective.along(found[1], moved) + tilt + step * bend
        change = found[0].reshape(slope.shape) - before + step * (tilt + step * bend / 2)
        lower = change <= _ARMIJO * step * slope
        flat = lower & (now >= _FALLEN * slope) & (now <= -_RISEN * slope)
        flat |= (change <= 0) & ((step * now).abs() <= enough)
        if bool(flat.all()) or attempt == _TRIES:
            break
        rising = now > 0
        high_slope = torch.where(rising, now, high_slope / 2)
        low_slope = torch.where(rising, low_slope / 2 if attempt > 1 else low_slope, now)
        high, low = torch.where(rising, step, high), torch.where(rising, low, step)
        bounded = high.isfinite()
        secant = low - low_slope * (torch.where(bounded, high, 0) - low) / (high_slope - low_slope)
        # Without an upper end: as far as the slope's rise since 0 suggests, at most fourfold.
        further = step * (slope / (slope - now).clamp(max=-_TINY)).clamp(1.5, 4)
        step = torch.where(flat, step, torch.where(bounded, secant, further))
    state.w = state.w + step.float() * direction
    state.scores, state.found = scores, found
    return step.float()
