"""The backbone itself trained for a few epochs, and what it is worth on the photos that judged the heads."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import penult
from penult.demo.classify import DATASET, Outcome
from penult.demo.errors import DemoError
from penult.demo.photos import PhotoSet
from penult.job_types import Finding, JobEvent

NAME = "fine-tuned"
SETTINGS: Mapping[str, Any] = {"trainable": "last", "augmentation": "flip", "preflight": False}
"""Short: only the last stages learn, and the rate is not tried out first. The rest has its default."""
NOT_TRAINABLE = frozenset(
    {"BACKBONE_UNTRAINABLE", "CLASS_TOO_SMALL", "NO_TRAINING_EXAMPLES", "NO_VALIDATION_IMAGES", "ONE_CLASS"}
)
"""Reasons for which these photos or this backbone cannot be fine-tuned, though nothing is wrong."""


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """What fine-tuning came to.

    Attributes:
        model: its version; `model.backbone` gives features too.
        epochs: that it was asked for.
        seconds: from asking for it to having it.
        curves: loss, rate and accuracies as a PNG.
        findings: what the curves say.
    """

    model: penult.Model
    epochs: int
    seconds: float
    curves: bytes
    findings: tuple[Finding, ...]

    @property
    def evaluation(self) -> penult.Evaluation:
        """What the server measured on the held-out photos."""
        assert self.model.evidence is not None, "a training's result has its evidence"
        return self.model.evidence.evaluation

    @property
    def kept(self) -> str:
        """Which of the weights that training gave are those of the model."""
        assert self.model.lineage is not None, "it was trained"
        return KEPT.get(self.model.lineage.variant, self.model.lineage.variant)


KEPT = {
    "probe": "the linear probe that training started from",
    "plain": "the weights of the best epoch",
    "ema": "the moving average of the weights",
    "mean": "the mean of the last epochs' weights",
}


def fine_tune(
    client: penult.Client,
    photo_set: PhotoSet,
    outcome: Outcome,
    backbone: str,
    epochs: int,
    seed: int,
    heard: Callable[[JobEvent], None],
) -> FineTuned:
    """Trains on what the heads were trained on, and asks the result about the photos that were held out.

    Args:
        client: whose server has the dataset of `classify`.
        photo_set: the photos.
        outcome: of `classify`.
        backbone: whose weights training starts from.
        epochs: passes over the training photos.
        seed: of the order and the augmentation.
        heard: gets every event of the job as it comes.

    Raises:
        DemoError: the answers are not those that the evidence was measured on.
        PenultError: with a reason of `NOT_TRAINABLE` where these photos or this backbone do not allow it.
    """
    started = time.perf_counter()
    job = client.models.finetune(
        NAME, dataset=DATASET, backbone=backbone, epochs=epochs, seed=seed, **SETTINGS
    )
    for event in job.watch():
        heard(event)
    model = job.result()
    seconds = time.perf_counter() - started
    plot = client.jobs.plot(job.id)
    tuned = FineTuned(model, epochs, seconds, plot.png, plot.findings)
    predictions = client.models.predict(model.reference, [photo_set.paths[i] for i in outcome.test])
    right = sum(a == b.label for a, b in zip(outcome.truth, predictions, strict=True))
    if right != round(tuned.evaluation.accuracy * tuned.evaluation.count):
        raise DemoError(
            f"predictions are right for {right} photos, the evidence says {tuned.evaluation.accuracy:.3f}",
            "this is a fault of Penult: please report it",
        )
    return tuned
