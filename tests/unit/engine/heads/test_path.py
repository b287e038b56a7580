"""Linear fits reach scikit-learn's optimum, whichever shape the problem has, and on a GPU as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import SVC, LinearSVC

from penult_server.engine.heads.base import FINAL_TOLERANCE, Problem
from penult_server.engine.heads.registry import find, parse
from penult_server.engine.heads.threads import limited

SHAPES = [pytest.param(300, 40, 5, id="more-rows"), pytest.param(90, 160, 6, id="more-dimensions")]
STRENGTHS = [1e-4, 1.0, 500.0]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of such small products wait for each other longer than they compute."""
    with limited(1):
        yield


def problem(rows: int, dim: int, classes: int, *, balanced: bool = False, device: str = "cpu") -> Problem:
    """Like pooled activations of length 1: not negative, with a mean far from 0."""
    rng = np.random.default_rng(0)
    # Half of the rows are of class 0.
    targets = np.sort(np.arange(rows) % classes * rng.integers(0, 2, rows))
    targets[-classes:] = np.arange(classes)
    centres = rng.standard_normal((classes, dim))
    x = np.maximum(centres[targets] + 2 * rng.standard_normal((rows, dim)) + 0.5, 0).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    weights = np.ones(rows, np.float32)
    if balanced:
        weights = (rows / (classes * np.bincount(targets, minlength=classes)))[targets].astype(np.float32)
    return Problem(x, 1, targets, classes, weights, device=device)


def fitted(kind: str, given: Problem, point: dict[str, float]) -> Any:
    solver = find(kind).prepare(given, parse(kind, {}))
    return solver.subset(np.arange(given.images)).fit(point, FINAL_TOLERANCE)


def softmax_objective(given: Problem, c: float, weight: np.ndarray, bias: np.ndarray) -> float:
    scores = given.features.astype(np.float64) @ weight.T.astype(np.float64) + bias
    own = scores[np.arange(given.images), given.targets]
    losses = np.logaddexp.reduce(scores, axis=1) - own
    return float(c * (given.weights * losses).sum() + np.square(weight.astype(np.float64)).sum() / 2)


def hinge_objective(given: Problem, c: float, weight: np.ndarray, bias: np.ndarray) -> float:
    scores = given.features.astype(np.float64) @ weight.T.astype(np.float64) + bias
    gaps = np.maximum(0, 1 - np.where(given.membership(), 1, -1) * scores)
    penalty = np.square(weight.astype(np.float64)).sum() + np.square(bias.astype(np.float64)).sum()
    return float(c * (given.weights[:, None] * np.square(gaps)).sum() + penalty / 2)


@pytest.mark.parametrize(("rows", "dim", "classes"), SHAPES)
@pytest.mark.parametrize("c", STRENGTHS)
@pytest.mark.parametrize("balanced", [False, True])
def test_logistic_regression(rows: int, dim: int, classes: int, c: float, balanced: bool) -> None:
    given = problem(rows, dim, classes, balanced=balanced)
    ours = softmax_objective(given, c, *fitted("logistic_regression", given, {"C": c}).scorer().linear())
    theirs = LogisticRegression(C=c, tol=1e-6, max_iter=2000)
    theirs.fit(given.features.astype(np.float64), given.targets, given.weights)
    least = softmax_objective(given, c, theirs.coef_, theirs.intercept_)
    assert ours <= least * (1 + 1e-4)


@pytest.mark.parametrize("c", [500.0, 1e4])
def test_logistic_regression_of_few_images_in_many_classes(c: float) -> None:
    # Steps that saturate the softmax have to be seen for what they are.
    given = problem(240, 400, 40)
    ours = softmax_objective(given, c, *fitted("logistic_regression", given, {"C": c}).scorer().linear())
    theirs = LogisticRegression(C=c, tol=1e-6, max_iter=2000)
    theirs.fit(given.features.astype(np.float64), given.targets)
    assert ours <= softmax_objective(given, c, theirs.coef_, theirs.intercept_) * (1 + 1e-4)


@pytest.mark.parametrize(("rows", "dim", "classes"), SHAPES)
@pytest.mark.parametrize("c", STRENGTHS)
def test_linear_svm(rows: int, dim: int, classes: int, c: float) -> None:
    given = problem(rows, dim, classes)
    ours = hinge_objective(given, c, *fitted("linear_svm", given, {"C": c}).scorer().linear())
    theirs = LinearSVC(C=c, dual=False, tol=1e-6, max_iter=2000)
    theirs.fit(given.features.astype(np.float64), given.targets)
    assert ours <= hinge_objective(given, c, theirs.coef_, theirs.intercept_) * (1 + 1e-4)


@pytest.mark.parametrize(("rows", "dim", "classes"), SHAPES)
@pytest.mark.parametrize("balanced", [False, True])
def test_ridge(rows: int, dim: int, classes: int, balanced: bool) -> None:
    given = problem(rows, dim, classes, balanced=balanced)
    theirs = RidgeClassifier(alpha=0.5, solver="cholesky")
    theirs.fit(given.features.astype(np.float64), given.targets, given.weights)
    weight, bias = fitted("ridge", given, {"C": 2.0}).scorer().linear()
    np.testing.assert_allclose(weight, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(bias, theirs.intercept_, atol=1e-4)


def test_rbf_svm_is_as_good_as_libsvm() -> None:
    whole = problem(600, 40, 5)
    rng = np.random.default_rng(1)
    train, test = np.split(rng.permutation(600), [400])
    given = dataclasses.replace(
        whole, features=whole.features[train], targets=whole.targets[train], weights=whole.weights[train]
    )
    gamma = 4.0
    fit = fitted("rbf_svm", given, {"C": 10.0, "gamma": gamma})
    scores = fit.scorer().scores(whole.features[test])
    ours = (scores.argmax(axis=1) == whole.targets[test]).mean()
    theirs = SVC(C=10.0, gamma=gamma).fit(given.features, given.targets)
    assert ours >= theirs.score(whole.features[test], whole.targets[test]) - 0.03
    # What it was fitted on and what serves agree.
    np.testing.assert_allclose(fit.scores(np.arange(20)), fit.scorer().scores(given.features[:20]), atol=2e-3)


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svm", "ridge"])
def test_views_count_as_one_image(kind: str) -> None:
    given = problem(120, 30, 4)
    doubled = dataclasses.replace(given, features=np.repeat(given.features, 2, axis=0), views=2)
    once, twice = (fitted(kind, each, {"C": 10.0}).scorer().linear() for each in (given, doubled))
    for a, b in zip(once, twice, strict=True):
        np.testing.assert_allclose(a, b, atol=0.02 * np.abs(a).max())


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svm", "rbf_svm", "ridge"])
def test_a_fit_from_another_one_ends_where_one_from_nothing_does(kind: str) -> None:
    given = problem(200, 40, 4)
    point = {"C": 10.0, "gamma": 2.0} if kind == "rbf_svm" else {"C": 10.0}
    warm = find(kind).prepare(given, parse(kind, {})).subset(np.arange(given.images))
    warm.fit({**point, "C": 0.01}, FINAL_TOLERANCE)
    cold, again = (
        fit.scores(np.arange(50)) for fit in (fitted(kind, given, point), warm.fit(point, FINAL_TOLERANCE))
    )
    if kind == "logistic_regression":  # a softmax does not see what is added to all classes
        cold, again = (scores - scores.mean(axis=1, keepdims=True) for scores in (cold, again))
    np.testing.assert_allclose(again, cold, atol=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("c", STRENGTHS)
def test_a_gpu_reaches_the_same_optimum(c: float) -> None:
    objectives = [
        softmax_objective(given, c, *fitted("logistic_regression", given, {"C": c}).scorer().linear())
        for given in (problem(2000, 256, 20), problem(2000, 256, 20, device="cuda"))
    ]
    assert objectives[1] == pytest.approx(objectives[0], rel=1e-4)
