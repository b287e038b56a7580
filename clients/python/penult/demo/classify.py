"""Heads trained by the server on a dataset of the photos, and what they are worth on photos never seen."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Sequence

import numpy as np

import penult
from penult.dataset_types import SplitName
from penult.demo.errors import DemoError
from penult.demo.neighbours import Positions
from penult.demo.photos import PhotoSet

TEST_SHARE = 0.3
DATASET = "photos"
HEADS = ("logistic_regression", "linear_svm")
"""The first one's answers are those that the report shows."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model of the demo: its version, and the seconds from asking for it to having it."""

    model: penult.Model
    seconds: float

    @property
    def kind(self) -> str:
        """Of the head."""
        assert self.model.lineage is not None, "it was trained"
        return self.model.lineage.head

    @property
    def evaluation(self) -> penult.Evaluation:
        """What the server measured on the held-out photos."""
        assert self.model.evidence is not None, "a training's result has its evidence"
        return self.model.evidence.evaluation


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The heads, and the first one's answers on the held-out photos.

    Attributes:
        train: positions of the photos that were trained on.
        test: positions of the held-out photos; all that follows is in their order.
        truth: labels; `predicted` likewise.
        probability: of the predicted label, as the head sees it.
        baseline: accuracy of always saying the most frequent label of `train`.
        upload_seconds: from the first photo sent to the last one durable on the server.
    """

    heads: tuple[Trained, ...]
    train: Positions
    test: Positions
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: tuple[float, ...]
    baseline: float
    upload_seconds: float

    @property
    def evaluation(self) -> penult.Evaluation:
        """Of the first head."""
        return self.heads[0].evaluation

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels, sorted."""
        return self.evaluation.labels

    @property
    def confusion(self) -> dict[tuple[str, str], int]:
        """Number of held-out photos by (label, predicted label)."""
        matrix = self.evaluation.confusion_matrix()
        return {
            (true, said): int(matrix[row, column])
            for row, true in enumerate(self.classes)
            for column, said in enumerate(self.classes)
        }

    def mistakes(self, count: int) -> list[int]:
        """Positions in `test` of wrong answers, the most confident first."""
        wrong = [i for i in range(len(self.truth)) if self.truth[i] != self.predicted[i]]
        return sorted(wrong, key=lambda i: -self.probability[i])[:count]


def classify(client: penult.Client, photo_set: PhotoSet, backbone: str, seed: int) -> Outcome:
    """Uploads the photos, trains each head on 70 % of them, and asks the first one about the others.

    Raises:
        DemoError: the answers are not those that the evidence was measured on.
    """
    train, test = stratified_split(photo_set.labels, seed)
    started = time.perf_counter()
    train, test = _upload(client, photo_set, train, test)
    upload_seconds = time.perf_counter() - started
    heads = tuple(_train(client, head, backbone) for head in HEADS)
    predictions = client.models.predict(heads[0].model.reference, [photo_set.paths[i] for i in test])
    outcome = Outcome(
        heads=heads,
        train=train,
        test=test,
        truth=tuple(photo_set.labels[i] for i in test),
        predicted=tuple(prediction.label for prediction in predictions),
        probability=tuple(prediction.probability for prediction in predictions),
        baseline=_baseline(photo_set.labels, train, test),
        upload_seconds=upload_seconds,
    )
    check_answers(outcome.truth, outcome.predicted, outcome.evaluation)
    return outcome


def check_answers(truth: Sequence[str], predicted: Sequence[str], measured: penult.Evaluation) -> None:
    """Raises DemoError where the answers are not those that the evidence was measured on."""
    right = sum(a == b for a, b in zip(truth, predicted, strict=True))
    if right != round(measured.accuracy * measured.count):
        raise DemoError(
            f"predictions are right for {right} photos, the evidence says {measured.accuracy:.3f}",
            "this is a fault of Penult: please report it",
        )


def _upload(
    client: penult.Client, photo_set: PhotoSet, train: Positions, test: Positions
) -> tuple[Positions, Positions]:
    """Makes the dataset; what the server refuses, such as a training photo among the others, is left out."""
    held_out = set(test.tolist())
    splits: list[SplitName] = ["test" if i in held_out else "train" for i in range(len(photo_set.paths))]
    client.datasets.create(DATASET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", penult.SkippedImages)
        summary = client.datasets.add(
            DATASET, photo_set.paths, list(photo_set.labels), split=splits, progress=True
        )
    refused = np.array([error.index for error in summary.errors], dtype=np.int64)
    return np.setdiff1d(train, refused), np.setdiff1d(test, refused)


def _train(client: penult.Client, head: str, backbone: str) -> Trained:
    started = time.perf_counter()
    name = head.replace("_", "-")
    model = client.models.train_head(name, dataset=DATASET, head=head, backbone=backbone).result()
    return Trained(model, time.perf_counter() - started)


def _baseline(labels: Sequence[str], train: Positions, test: Positions) -> float:
    fitted = [labels[i] for i in train.tolist()]
    frequent = max(sorted(set(fitted)), key=fitted.count)
    return sum(labels[i] == frequent for i in test.tolist()) / len(test)


def stratified_split(labels: Sequence[str], seed: int) -> tuple[Positions, Positions]:
    """Sorted positions for training and for the test; the test gets its share of each class, one at least."""
    generator = np.random.default_rng(seed)
    y = np.asarray(labels)
    test: list[int] = []
    for label in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == label))
        test += members[: max(1, round(TEST_SHARE * len(members)))].tolist()
    held_out = np.array(sorted(test), dtype=np.int64)
    return np.setdiff1d(np.arange(len(y), dtype=np.int64), held_out), held_out
