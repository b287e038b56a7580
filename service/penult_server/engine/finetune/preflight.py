"""Before training: three checks that find out in a minute what would else be found out in a day.

They are those of practitioners (Stanford CS231n, "Neural Networks Part 3"; Karpathy, "A Recipe for Training
Neural Networks", 2019). Each works on a copy; the network that will be trained stays as it is.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from penult_server.core.errors import FailedPrecondition
from penult_server.core.finetune import propose_rate
from penult_server.engine.finetune.data import load_batches, steps_in_epoch
from penult_server.engine.finetune.network import (
    Classifier,
    fresh_head,
    parameter_groups,
    untrainable,
    without_regularisation,
)
from penult_server.engine.finetune.optimizers import make_optimizer
from penult_server.engine.finetune.randomness import seed_everything
from penult_server.engine.finetune.run import Material
from penult_server.engine.finetune.settings import FineTuneSettings
from penult_server.engine.workers.task import Task

TOLERANCE = 0.25
"""How far the first loss may be from log(classes), as a share of it."""
SMALL_BATCHES, SMALL_BATCH, LEARNING_STEPS = 2, 8, 120
_LEARNING_RATE, _HEAD_RATE = 1e-3, 1e-2
RANGE_STEPS, _RANGE_BATCH = 100, 16
_LOWEST_RATE, _HIGHEST_RATE = 1e-6, 1.0
_BLOWN_UP = 4.0


@dataclasses.dataclass(frozen=True, slots=True)
class Preflight:
    """What the checks found.

    Attributes:
        initial_loss: cross-entropy of a random head before any step.
        expected_loss: log(classes), which that must be near.
        learning_steps: steps until a few small batches were known by heart.
        proposed_rate: the learning rate that the range test speaks for; None where the loss never fell.
        rates: those that the range test tried, and `losses` at each.
    """

    initial_loss: float
    expected_loss: float
    learning_steps: int
    proposed_rate: float | None
    rates: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()


def preflight(model: Classifier, material: Material, settings: FineTuneSettings, task: Task) -> Preflight:
    """Runs the checks in order and says what each found.

    Raises:
        FailedPrecondition: INITIAL_LOSS_OFF, BACKBONE_UNTRAINABLE, CANNOT_LEARN, or NO_RATE_FOUND where the
            settings ask for a proposed rate.
    """
    task.progress(0, 3, phase="preflight")
    classes = model.head.out_features
    initial, expected = initial_loss(model, material, settings), math.log(classes)
    task.log(f"initial loss {initial:.3f} with a random head; log({classes}) is {expected:.3f}")
    task.progress(1, 3, phase="preflight")
    steps = learn_by_heart(model, material, settings)
    task.log(f"{SMALL_BATCHES} batches of {SMALL_BATCH} images are known by heart after {steps} steps")
    task.progress(2, 3, phase="preflight")
    rates, losses = range_test(model, material, settings)
    proposed = propose_rate(rates, losses)
    if proposed is None:
        if settings.learning_rate == "proposed":
            raise FailedPrecondition(
                "NO_RATE_FOUND",
                f"the loss falls at no learning rate from {rates[0]:g} to {rates[-1]:g}, from "
                f"{losses[0]:.3f} on",
                hint="set learning_rate; if training does not help either, look at the labels",
            )
        task.log("the range test proposes no learning rate: the loss falls at none", "warning")
    else:
        task.log(f"the range test proposes a learning rate of {proposed:.1e}")
    task.progress(3, 3, phase="preflight")
    return Preflight(initial, expected, steps, proposed, tuple(rates), tuple(losses))


def initial_loss(model: Classifier, material: Material, settings: FineTuneSettings) -> float:
    """Cross-entropy of a few pictures with a new random head and no regularisation; also sends it backward.

    Raises:
        FailedPrecondition: INITIAL_LOSS_OFF, BACKBONE_UNTRAINABLE.
    """
    probe = _copy(model, settings, new_head=True)
    x, targets = next(_small_batches(probe, material, 1, 4 * SMALL_BATCH))
    loss = functional.cross_entropy(probe(x), targets)
    value, expected = float(loss.detach()), math.log(probe.head.out_features)
    if not abs(value - expected) <= TOLERANCE * expected:
        raise FailedPrecondition(
            "INITIAL_LOSS_OFF",
            f"the loss of a random head is {value:.3g}, and must be near log(classes) = {expected:.3g}: "
            "the features of this backbone are out of scale",
            hint="check the weights of the backbone and its preprocessing",
        )
    trunk = [p for stage in list(probe.stage_parameters().values())[:-1] for p in stage]
    if not trunk:
        return value
    if not loss.requires_grad or not any(
        gradient is not None and bool(gradient.abs().sum() > 0)
        for gradient in torch.autograd.grad(loss, trunk, allow_unused=True)
    ):
        raise untrainable("no gradient reaches its weights")
    return value


def learn_by_heart(model: Classifier, material: Material, settings: FineTuneSettings) -> int:
    """Drives a few small batches to 100 % training accuracy, regularisation off.

    Returns:
        Steps that it took.

    Raises:
        FailedPrecondition: CANNOT_LEARN.
    """
    pupil = _copy(model, settings, new_head=True)
    batches = list(_small_batches(pupil, material, SMALL_BATCHES, SMALL_BATCH))
    head = list(pupil.head.parameters())
    trunk = [p for stage in list(pupil.stage_parameters().values())[:-1] for p in stage]
    groups = [{"params": head, "lr": _HEAD_RATE}, {"params": trunk, "lr": _LEARNING_RATE}]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    known = [0.0] * len(batches)
    for step in range(LEARNING_STEPS):
        number = step % len(batches)
        x, targets = batches[number]
        logits = pupil(x)
        known[number] = float((logits.argmax(1) == targets).float().mean())
        if min(known) == 1.0:
            return step
        functional.cross_entropy(logits, targets).backward()
        nn.utils.clip_grad_norm_(pupil.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    raise FailedPrecondition(
        "CANNOT_LEARN",
        f"{LEARNING_STEPS} steps do not teach {SMALL_BATCHES} batches of {SMALL_BATCH} images: "
        f"{100 * min(known):.0f} % of one are right",
        hint="let more stages learn, take another backbone, or look for pictures that cannot be told apart",
    )


def range_test(
    model: Classifier, material: Material, settings: FineTuneSettings
) -> tuple[list[float], list[float]]:
    """The loss while the learning rate rises exponentially (Smith 2017, arXiv:1506.01186).

    Returns:
        The rates tried, and the loss before each step; it ends where the loss blows up.
    """
    runner = _copy(model, settings, new_head=False)
    optimizer = make_optimizer(
        settings.optimizer, parameter_groups(runner, settings), _LOWEST_RATE, settings.optimizer_options
    )
    device = next(runner.parameters()).device
    size = min(_RANGE_BATCH, settings.batch_size, len(material.train))
    steps = min(RANGE_STEPS, 10 * steps_in_epoch(len(material.train), size))
    alone = settings.model_copy(update={"loader_workers": 0})
    rates: list[float] = []
    losses: list[float] = []
    batches = load_batches(material.train, alone, material.preprocess, size, 0, steps)
    for step, batch in enumerate(batches):
        rate = _LOWEST_RATE * (_HIGHEST_RATE / _LOWEST_RATE) ** (step / max(1, steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        seed_everything(settings.seed, step)
        x, targets = runner.normalise(batch.pictures.to(device)), batch.targets.to(device)
        loss = functional.cross_entropy(runner(x), targets, label_smoothing=settings.label_smoothing)
        rates.append(rate)
        losses.append(float(loss.detach()))
        if not np.isfinite(losses[-1]) or losses[-1] > _BLOWN_UP * max(min(losses), losses[0]):
            break
        loss.backward()
        nn.utils.clip_grad_norm_(runner.parameters(), settings.clip_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return rates, losses


def _copy(model: Classifier, settings: FineTuneSettings, *, new_head: bool) -> Classifier:
    """The same network in training mode, to be spoilt. With a new head, regularisation is off as well."""
    seed_everything(settings.seed)
    made = copy.deepcopy(model).train()
    if new_head:
        fresh_head(made.head)
        without_regularisation(made)
    return made


def _small_batches(
    model: Classifier, material: Material, count: int, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pictures as they are served, classes in turn, the same every time."""
    device = next(model.parameters()).device
    targets = material.train.targets
    turn = np.zeros(len(targets), np.int64)
    for label in np.unique(targets):
        members = np.flatnonzero(targets == label)
        turn[members] = np.arange(len(members))
    order = np.argsort(turn, kind="stable")
    for number in range(count):
        chosen = order[number * size : (number + 1) * size]
        if not len(chosen):
            return
        pixels = np.stack([material.train.pictures.served(int(material.train.positions[n])) for n in chosen])
        yield (
            model.normalise(torch.from_numpy(pixels).to(device)),
            torch.from_numpy(targets[chosen]).to(device),
        )
