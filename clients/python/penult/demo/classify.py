"""Logistic regression on features, and what it is worth on photos it has never seen."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Sequence

import numpy as np

from penult.demo.neighbours import Positions
from penult.types import Features

TEST_SHARE = 0.3
FOLDS = 5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of scikit-learn's C to choose from; small ones regularise more."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A classifier's answers on the held-out photos.

    Attributes:
        train: positions of the photos it was fitted on.
        test: positions of the held-out photos; all that follows is in their order.
        truth: labels; `predicted` likewise.
        probability: of the predicted label, as the classifier sees it.
        interval: 95 % confidence interval of `accuracy`.
        baseline: accuracy of always saying the most frequent label of `train`.
        strength: scikit-learn's C.
    """

    classes: tuple[str, ...]
    train: Positions
    test: Positions
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    probability: tuple[float, ...]
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    baseline: float
    strength: float
    seconds: float

    @property
    def confusion(self) -> dict[tuple[str, str], int]:
        """Number of held-out photos by (label, predicted label)."""
        table = {(a, b): 0 for a in self.classes for b in self.classes}
        for pair in zip(self.truth, self.predicted, strict=True):
            table[pair] += 1
        return table

    def mistakes(self, count: int) -> list[int]:
        """Positions in `test` of wrong answers, the most confident first."""
        wrong = [i for i in range(len(self.truth)) if self.truth[i] != self.predicted[i]]
        return sorted(wrong, key=lambda i: -self.probability[i])[:count]


def classify(features: Features, labels: Sequence[str], seed: int) -> Outcome:
    """Fits on 70 % of the photos and asks about the others.

    Args:
        features: (N, dim).
        labels: N of them, at least two classes with two photos each.
        seed: of the split and of the folds.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    started = time.perf_counter()
    y = np.asarray(labels)
    train, test = stratified_split(labels, seed)
    counts = dict(zip(*np.unique(y[train], return_counts=True), strict=True))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTHS[2], max_iter=1000))
    folds = min(FOLDS, *counts.values())
    if folds > 1:  # with one photo of some class there is nothing to choose C by
        classifier = GridSearchCV(
            classifier,
            {"logisticregression__C": STRENGTHS},
            scoring="neg_log_loss",
            cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        )
    # The matrices are small: threads of the linear algebra would mostly wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a C that does not converge loses the search
        classifier.fit(features[train], y[train])
    probabilities = classifier.predict_proba(features[test])
    predicted = classifier.classes_[probabilities.argmax(axis=1)]
    right = int((predicted == y[test]).sum())
    best = getattr(classifier, "best_params_", {"logisticregression__C": STRENGTHS[2]})
    return Outcome(
        classes=tuple(map(str, classifier.classes_)),
        train=train,
        test=test,
        truth=tuple(map(str, y[test])),
        predicted=tuple(map(str, predicted)),
        probability=tuple(map(float, probabilities.max(axis=1))),
        accuracy=right / len(test),
        interval=wilson_interval(right, len(test)),
        balanced_accuracy=float(balanced_accuracy_score(y[test], predicted)),
        baseline=float((y[test] == max(counts, key=lambda label: counts[label])).mean()),
        strength=best["logisticregression__C"],
        seconds=time.perf_counter() - started,
    )


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


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927); honest also near 0 and 1 and for few photos."""
    z = 1.959964
    share = right / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)
