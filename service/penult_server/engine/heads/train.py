"""Trains a head: features and labels in, a head with its evidence out. Reads top to bottom.

Hyperparameters are chosen by cross-validation on the training images alone. Then the head is fitted on all
of them, and measured on the test split; without one on validation; without that in cross-validation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from penult_server.core.errors import FailedPrecondition
from penult_server.core.evidence import Evaluation, Evidence, LearningPoint
from penult_server.engine.heads.base import FINAL_TOLERANCE, Grid, Point, Problem, Solver
from penult_server.engine.heads.calibrate import Calibration
from penult_server.engine.heads.data import TrainingData
from penult_server.engine.heads.evaluate import evaluate, measure
from penult_server.engine.heads.folds import fold_of, strata
from penult_server.engine.heads.head import Head
from penult_server.engine.heads.learning_curve import learning_curve
from penult_server.engine.heads.normalise import Normaliser
from penult_server.engine.heads.parameters import HeadParameters
from penult_server.engine.heads.registry import find, parse
from penult_server.engine.heads.reject import reject_threshold
from penult_server.engine.heads.search import Found, Report, Search
from penult_server.engine.heads.selection import Part, select
from penult_server.engine.heads.threads import limited, worthwhile

CROSS_VALIDATION = "cross-validation"


@dataclasses.dataclass(frozen=True, slots=True)
class TrainedHead:
    """What training gives. `threshold`: least probability of an answer that is not rejected; None: all stay.

    `parameters` are those of the request, complete.
    """

    head: Head
    threshold: float | None
    parameters: Mapping[str, Any]
    evidence: Evidence


def train_head(
    data: TrainingData,
    head: str,
    parameters: Mapping[str, Any],
    report: Report,
    *,
    threads: int | None = None,
    device: str = "cpu",
) -> TrainedHead:
    """Trains a head. The same data, parameters and `threads` on the same machine give the same bits.

    Args:
        data: images with features, labels and splits.
        head: a name of registry.head_kinds().
        parameters: as JSON; see registry.validate.
        report: hears of progress.
        threads: of linear algebra; None takes what the libraries take. Small problems take one.
        device: "cpu" or "cuda", for the heads with an iterative solver.

    Raises:
        InvalidArgument: HEAD_UNKNOWN, PARAMETER_UNKNOWN, PARAMETER_INVALID, FEATURES_MALFORMED.
        FailedPrecondition: NO_EXAMPLES, NO_LABELS, NO_TRAINING_EXAMPLES, ONE_CLASS, CLASS_TOO_SMALL,
            FEATURES_NOT_FINITE.
    """
    chosen = parse(head, parameters)
    images, views, dim = data.features.shape if data.features.ndim == 3 else (0, 0, 0)
    with limited(worthwhile(threads, images * views, dim, len(data.classes))):
        return _Training(data, head, chosen, report, device).run()


class _Training:
    """One run, and what its steps share."""

    def __init__(
        self, data: TrainingData, name: str, chosen: HeadParameters, report: Report, device: str
    ) -> None:
        self.name, self.chosen, self.report, self.device = name, chosen, report, device
        self.kind = find(name)
        self.seconds: dict[str, float] = {}
        with self._phase("check"):
            self.selection = select(data)
        self.multi_label = data.multi_label
        self.warnings = list(self.selection.warnings)
        self.classes = self.selection.labels
        self.targets = self.selection.targets(self.selection.train)
        self.parts = {split: self.selection.part(split) for split in ("test", "validation")}
        self.measured_on = next((split for split, part in self.parts.items() if part), CROSS_VALIDATION)
        self.fold = np.zeros(len(self.targets), np.int64)

    def run(self) -> TrainedHead:
        with self._phase("prepare"):
            normaliser, problem = self._problem()
            solver = self.kind.prepare(problem, self.chosen)
            grid = self.kind.grid(self.chosen, problem)
        with self._phase("search"):
            found = self._cross_validate(solver, grid)
        point = grid if found is None and not isinstance(grid, Grid) else self._sure(found).point
        with self._phase("fit"):
            scorer = solver.subset(np.arange(problem.images)).fit(point, FINAL_TOLERANCE).scorer()
        with self._phase("calibrate"):
            dim = problem.features.shape[1]
            calibration = self._calibration(found)
            head = Head(self.name, self.classes, self.multi_label, dim, normaliser, scorer, calibration)
            threshold = self._threshold(head, found)
        with self._phase("evaluate"):
            evaluation = self._evaluation(head, found, threshold)
        with self._phase("learning curve"):
            curve = self._learning_curve(solver, problem, point, head, evaluation)
        evidence = Evidence(
            evaluation=evaluation,
            measured_on=self.measured_on,
            note=self._note(found),
            train_count=problem.images,
            views=problem.views,
            hyperparameters=point,
            curve_score="label ranking average precision" if self.multi_label else "accuracy",
            curve=found.curve if found else (),
            learning_curve=curve,
            seconds=self.seconds,
            warnings=tuple(self.warnings),
        )
        return TrainedHead(head, threshold, self.chosen.model_dump(mode="json"), evidence)

    def _problem(self) -> tuple[Normaliser, Problem]:
        raw = self.selection.data.features[self.selection.train]
        images, views, dim = raw.shape
        rows = np.ascontiguousarray(raw.reshape(images * views, dim), np.float32)
        normaliser = Normaliser.fit(self.chosen.normalisation, rows)
        weights = _weights(self.targets, len(self.classes), balanced=self.chosen.class_weight == "balanced")
        return normaliser, Problem(
            normaliser(rows), views, self.targets, len(self.classes), weights, self.chosen.seed, self.device
        )

    def _cross_validate(self, solver: Solver, grid: Grid | Point) -> Found | None:
        """Only where something has to be chosen, calibrated or measured that way."""
        must = isinstance(grid, Grid) or self.measured_on == CROSS_VALIDATION
        wants = self.kind.calibrated or (self.chosen.reject == "auto" and not self.parts["validation"])
        if not must and not wants:
            return None
        counts = np.bincount(strata(self.targets), minlength=len(self.classes))
        if np.count_nonzero(counts > 1) < 2:
            if must:
                raise FailedPrecondition(
                    "CLASS_TOO_SMALL",
                    "fewer than two classes have two training images, so that cross-validation is impossible",
                    hint="add images; or fix the hyperparameters and give a test split",
                )
            return None
        folds = int(min(self.chosen.folds, counts.max()))
        if folds < self.chosen.folds:
            self.warnings.append(f"{folds} folds instead of {self.chosen.folds}: no class has more images")
        self.fold = fold_of(self.targets, folds, self.chosen.seed)
        search = Search(solver, self.targets, len(self.classes), self.fold, self.report)
        return search.run(grid, getattr(self.chosen, "search", "grid"))

    def _calibration(self, found: Found | None) -> Calibration:
        if self.kind.calibrated and found is not None:
            return Calibration.fit(found.scores, self.targets)
        if self.kind.calibrated:
            self.warnings.append("too few images to calibrate probabilities: take them for a ranking only")
        return Calibration.none(multi_label=self.multi_label)

    def _held_out(self, found: Found) -> np.ndarray:
        """Probabilities of the training images, each by a head and a calibration that never saw its fold."""
        probabilities = np.empty_like(found.scores)
        for number in range(int(self.fold.max()) + 1):
            inside = self.fold == number
            calibration = Calibration.none(multi_label=self.multi_label)
            if self.kind.calibrated:
                calibration = Calibration.fit(found.scores[~inside], self.targets[~inside])
            probabilities[inside] = calibration(found.scores[inside])
        return probabilities

    def _threshold(self, head: Head, found: Found | None) -> float | None:
        if self.chosen.reject == "none":
            return None
        if self.multi_label:
            self.warnings.append("a multi-label head rejects by giving no label; reject has no effect")
            return None
        if part := self.parts["validation"]:
            return reject_threshold(head.probabilities(part.features), part.targets, self.chosen.reject_keep)
        if found is None:
            self.warnings.append("too few images to choose a reject threshold: nothing is rejected")
            return None
        return reject_threshold(self._held_out(found), self.targets, self.chosen.reject_keep)

    def _evaluation(self, head: Head, found: Found | None, threshold: float | None) -> Evaluation:
        split = self.measured_on
        if part := self.parts.get(split):
            return evaluate(head, part.features, part.targets, part.ids, split=split, threshold=threshold)
        ids = [self.selection.data.ids[n] for n in self.selection.train.tolist()]
        held_out = self._held_out(self._sure(found))
        return measure(held_out, self.targets, ids, self.classes, split=split, threshold=threshold)

    def _learning_curve(
        self, solver: Solver, problem: Problem, point: Point, head: Head, whole: Evaluation
    ) -> tuple[LearningPoint, ...]:
        """In cross-validation its parts are measured on the first fold, and its last point on all of them."""
        if not self.chosen.learning_curve:
            return ()
        images = np.arange(problem.images)
        part: Part | None = self.parts.get(self.measured_on)
        if part is None:
            images, held = np.flatnonzero(self.fold != 0), np.flatnonzero(self.fold == 0)
            targets = self.targets[held]
            curve = learning_curve(
                solver, problem, images, point, head.calibration, lambda fit: fit.scores(held), targets
            )
        else:
            features, targets = head.normaliser(part.features), part.targets
            curve = learning_curve(
                solver, problem, images, point, head.calibration,
                lambda fit: fit.scorer().scores(features), targets,
            )  # fmt: skip
        last = LearningPoint(len(images), whole.accuracy, whole.accuracy_low, whole.accuracy_high)
        return (*curve, last)

    def _note(self, found: Found | None) -> str:
        if self.measured_on == "test":
            return "measured on the test split, which neither training nor any choice has seen"
        if self.measured_on == "validation":
            seen = ", which also chose the reject threshold" if self.chosen.reject == "auto" else ""
            return f"there is no test split: measured on the validation split{seen}"
        chose = "; the same folds chose the hyperparameters, so that the figures are a little too good"
        return (
            "there is neither a test nor a validation split: measured by cross-validation, every image by a "
            f"head that was trained without it{chose if found and found.curve else ''}"
        )

    @staticmethod
    def _sure(found: Found | None) -> Found:
        assert found is not None, "cross-validation ran where it must"
        return found

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.report.progress(0, 1, phase=name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.report.progress(1, 1, phase=name)


def _weights(targets: np.ndarray, classes: int, *, balanced: bool) -> np.ndarray:
    """Of each image, for multi-label of each decision: all 1, or so that classes (yes and no) weigh alike."""
    if not balanced:
        return np.ones(targets.shape, np.float32)
    count = len(targets)
    if targets.ndim == 1:
        return (count / (classes * np.bincount(targets, minlength=classes)))[targets].astype(np.float32)
    positive = targets.sum(axis=0)
    negative = np.maximum(count - positive, 1)
    return np.where(targets, count / (2 * positive), count / (2 * negative)).astype(np.float32)
