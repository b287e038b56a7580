"""The backbone itself trained for a few epochs, and what it is worth on the photos that judged the heads."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import penult
from penult.demo.classify import DATASET, Outcome, Trained, check_answers
from penult.demo.photos import PhotoSet
from penult.job_types import Finding, JobEvent

NAME = "fine-tuned"
SETTINGS: Mapping[str, Any] = {"trainable": "last", "augmentation": "flip", "preflight": False}
"""Short: only the last stages learn, and the rate is not tried out first. The rest has its default."""
NOT_TRAINABLE = frozenset(
    {"BACKBONE_UNTRAINABLE", "CLASS_TOO_SMALL", "NO_TRAINING_EXAMPLES", "NO_VALIDATION_IMAGES", "ONE_CLASS"}
)
"""Reasons for which these photos or this backbone cannot be fine-tuned, though nothing is wrong."""
KEPT = {
    "probe": "the linear probe that training started from",
    "plain": "the weights of the best epoch",
    "ema": "the moving average of the weights",
    "mean": "the mean of the last epochs' weights",
}


@dataclasses.dataclass(frozen=True)
class FineTuned(Trained):
    """What fine-tuning came to; `model.backbone` gives features too.

    Attributes:
        epochs: that it was asked for.
        curves: loss, rate and accuracies as a PNG.
        findings: what the curves say.
    """

    epochs: int
    curves: bytes
    findings: tuple[Finding, ...]

    @property
    def kept(self) -> str:
        """Which of the weights that training gave are those of the model."""
        assert self.model.lineage is not None, "it was trained"
        return KEPT.get(self.model.lineage.variant, self.model.lineage.variant)


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
    tuned = FineTuned(model, seconds, epochs, plot.png, plot.findings)
    predictions = client.models.predict(model.reference, [photo_set.paths[i] for i in outcome.test])
    check_answers(outcome.truth, [prediction.label for prediction in predictions], tuned.evaluation)
    return tuned
