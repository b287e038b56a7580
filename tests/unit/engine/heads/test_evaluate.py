"""Every figure of an evaluation against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from penult_server.core.errors import FailedPrecondition
from penult_server.engine.heads.evaluate import MAX_MISTAKES, average_precision, measure

CLASSES = tuple("abcdefgh")


@pytest.fixture(scope="module")
def single() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 7, 300)  # class h never occurs
    logits = rng.standard_normal((300, 8)) + 1.5 * np.eye(8)[targets]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p.astype(np.float32), targets


@pytest.fixture(scope="module")
def several() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    targets = rng.random((200, 8)) < 0.3
    targets[:, 7] = False
    targets[~targets.any(axis=1), 0] = True
    return (1 / (1 + np.exp(-2 * (targets - 0.5) - rng.standard_normal((200, 8))))).astype(
        np.float32
    ), targets


def ids(count: int) -> list[str]:
    return [f"image{n}" for n in range(count)]


def test_one_label_agrees_with_scikit_learn(single: tuple[np.ndarray, np.ndarray]) -> None:
    p, targets = single
    found = measure(p, targets, ids(300), CLASSES, split="test")
    predicted = p.argmax(axis=1)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(targets, predicted))
    assert found.top5_accuracy == pytest.approx(
        metrics.top_k_accuracy_score(targets, p, k=5, labels=range(8))
    )
    report = metrics.classification_report(
        targets, predicted, labels=range(8), output_dict=True, zero_division=0
    )
    for n, score in enumerate(found.classes):
        assert (score.precision, score.recall, score.f1, score.support) == pytest.approx(
            tuple(report[str(n)][key] for key in ("precision", "recall", "f1-score", "support"))
        )
    assert found.balanced_accuracy == pytest.approx(
        metrics.recall_score(targets, predicted, labels=range(7), average="macro")
    )
    assert found.macro_f1 == pytest.approx(
        metrics.f1_score(targets, predicted, average="macro", zero_division=0)
    )
    assert found.micro_f1 == pytest.approx(metrics.f1_score(targets, predicted, average="micro"))
    assert found.log_loss == pytest.approx(metrics.log_loss(targets, p, labels=range(8)), rel=1e-5)
    np.testing.assert_array_equal(
        found.confusion_matrix(), metrics.confusion_matrix(targets, predicted, labels=range(8))
    )


def test_several_labels_agree_with_scikit_learn(several: tuple[np.ndarray, np.ndarray]) -> None:
    p, targets = several
    found = measure(p, targets, ids(200), CLASSES, split="test")
    predicted = p >= 0.5
    assert found.accuracy == pytest.approx(metrics.accuracy_score(targets, predicted))
    assert found.micro_f1 == pytest.approx(metrics.f1_score(targets, predicted, average="micro"))
    used = np.flatnonzero(predicted.any(axis=0) | targets.any(axis=0))
    assert found.macro_f1 == pytest.approx(
        metrics.f1_score(targets, predicted, labels=used, average="macro", zero_division=0)
    )
    assert found.mean_average_precision == pytest.approx(
        metrics.average_precision_score(targets[:, :7], p[:, :7], average="macro")
    )
    assert found.classes[7].average_precision is None
    assert found.log_loss == pytest.approx(
        metrics.log_loss(targets.ravel(), p.ravel().astype(np.float64)), rel=1e-5
    )


def test_average_precision_with_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, true = rng.integers(0, 4, 12) / 4, rng.random(12) < 0.5
        true[0] = True
        assert average_precision(scores, true) == pytest.approx(metrics.average_precision_score(true, scores))


def test_calibration_bins_hold_every_image(single: tuple[np.ndarray, np.ndarray]) -> None:
    p, targets = single
    found = measure(p, targets, ids(300), CLASSES, split="test")
    sure, right = p.max(axis=1), p.argmax(axis=1) == targets
    expected = 0.0
    for part in found.calibration_bins:
        inside = (sure > part.low) & (sure <= part.high)
        assert part.count == inside.sum()
        if part.count:
            assert part.confidence == pytest.approx(sure[inside].mean(), rel=1e-5)
            assert part.accuracy == pytest.approx(right[inside].mean())
            expected += part.count / 300 * abs(part.confidence - part.accuracy)
    assert found.calibration_error == pytest.approx(expected)


def test_mistakes_are_the_surest_wrong_answers(single: tuple[np.ndarray, np.ndarray]) -> None:
    p, targets = single
    found = measure(p, targets, ids(300), CLASSES, split="test")
    wrong = np.flatnonzero(p.argmax(axis=1) != targets)
    assert len(found.mistakes) == min(MAX_MISTAKES, len(wrong))
    chances = [mistake.probability for mistake in found.mistakes]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == pytest.approx(p[wrong].max())
    for mistake in found.mistakes:
        position = int(mistake.id.removeprefix("image"))
        assert mistake.true == (CLASSES[targets[position]],)
        assert mistake.predicted == (CLASSES[p[position].argmax()],)


def test_rejecting(single: tuple[np.ndarray, np.ndarray]) -> None:
    p, targets = single
    found = measure(p, targets, ids(300), CLASSES, split="test", threshold=0.5)
    accepted = p.max(axis=1) >= 0.5
    assert found.reject_rate == pytest.approx(1 - accepted.mean())
    assert found.accepted_accuracy == pytest.approx((p.argmax(axis=1) == targets)[accepted].mean())
    assert measure(p, targets, ids(300), CLASSES, split="test", threshold=1.1).accepted_accuracy is None


def test_images_without_a_known_label_are_left_out_and_counted(single: tuple[np.ndarray, np.ndarray]) -> None:
    p, targets = single
    fewer = targets.copy()
    fewer[:20] = -1
    found = measure(p, fewer, ids(300), CLASSES, split="test")
    assert (found.count, found.left_out) == (280, 20)
    assert found.accuracy == measure(p[20:], targets[20:], ids(280), CLASSES, split="test").accuracy
    with pytest.raises(FailedPrecondition) as caught:
        measure(p, np.full(300, -1), ids(300), CLASSES, split="test")
    assert caught.value.reason == "NOTHING_TO_EVALUATE"
