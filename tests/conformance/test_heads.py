"""One suite over every head: it learns, measures itself on what it has not seen, and survives its files."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penult_server.core.errors import DataLoss, FailedPrecondition, InvalidArgument
from penult_server.engine.heads.data import TrainingData
from penult_server.engine.heads.evaluate import evaluate
from penult_server.engine.heads.files import load_head, save_head
from penult_server.engine.heads.registry import head_kinds, validate
from penult_server.engine.heads.train import TrainedHead, train_head
from tests.head_data import Silent, clusters, several_labels

pytestmark = pytest.mark.parametrize("kind", head_kinds())


def trained(kind: str, data: TrainingData, **parameters: Any) -> TrainedHead:
    return train_head(data, kind, parameters, Silent(), threads=1)


@functools.cache
def usual(kind: str) -> TrainedHead:
    return trained(kind, clusters())


def test_it_learns_and_its_probabilities_are_such(kind: str) -> None:
    data = clusters()
    made = usual(kind)
    p = made.head.probabilities(data.features[:, 0])
    assert p.dtype == np.float32
    assert np.isfinite(p).all()
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    evaluation = made.evidence.evaluation
    assert evaluation.split == "test"
    assert evaluation.accuracy > 0.8
    assert evaluation.accuracy_low < evaluation.accuracy < evaluation.accuracy_high
    assert evaluation.log_loss < np.log(len(data.classes)) / 2
    assert made.evidence.learning_curve[-1].accuracy == evaluation.accuracy
    assert set(made.evidence.seconds) >= {"search", "fit", "evaluate"}


def test_the_same_request_gives_the_same_bits(kind: str) -> None:
    first, second = usual(kind).head.arrays(), trained(kind, clusters()).head.arrays()
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize("normalisation", ["l2", "standardize", "none"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_files_give_the_same_head(kind: str, normalisation: str, multi_label: bool, tmp_path: Path) -> None:
    data = several_labels() if multi_label else clusters()
    made = trained(kind, data, normalisation=normalisation)
    save_head(tmp_path, made)
    loaded = load_head(tmp_path)
    x = data.features[:, 0]
    np.testing.assert_array_equal(loaded.head.probabilities(x), made.head.probabilities(x))
    assert loaded.evidence == made.evidence
    assert (loaded.threshold, loaded.parameters) == (made.threshold, made.parameters)
    assert json.loads(json.dumps(dataclasses.asdict(made.evidence), allow_nan=False))
    if linear := made.head.linear():
        rows = x / np.linalg.norm(x, axis=1, keepdims=True) if linear.l2 else x
        z = rows @ linear.weight.T + linear.bias
        p = 1 / (1 + np.exp(-z)) if multi_label else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        assert linear.activation == ("sigmoid" if multi_label else "softmax")
        np.testing.assert_allclose(p, made.head.probabilities(x), atol=2e-4)


@pytest.mark.parametrize("file", ["head.safetensors", "head.json", "evidence.json"])
def test_damaged_files_are_refused(kind: str, file: str, tmp_path: Path) -> None:
    save_head(tmp_path, usual(kind))
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-20])
    with pytest.raises(DataLoss) as caught:
        load_head(tmp_path)
    assert caught.value.reason == "HEAD_DAMAGED"
    assert str(tmp_path) not in caught.value.message


def test_unknown_and_wrong_parameters_are_refused(kind: str) -> None:
    for parameters, reason in (({"sead": 1}, "PARAMETER_UNKNOWN"), ({"folds": "many"}, "PARAMETER_INVALID")):
        with pytest.raises(InvalidArgument) as caught:
            validate(kind, parameters)
        assert caught.value.reason == reason
        assert caught.value.field == f"parameters.{next(iter(parameters))}"
    assert validate(kind, validate(kind, {})) == validate(kind, {})


def test_labels_of_the_test_split_change_the_figures_and_not_the_head(kind: str) -> None:
    data = clusters()
    other = data.targets.copy()
    test = np.flatnonzero(np.asarray(data.splits) == "test")
    other[test] = np.random.default_rng(1).permutation(other[test])
    honest = usual(kind)
    shuffled = trained(kind, dataclasses.replace(data, targets=other))
    for name, array in honest.head.arrays().items():
        np.testing.assert_array_equal(array, shuffled.head.arrays()[name])
    assert shuffled.evidence.evaluation.accuracy < honest.evidence.evaluation.accuracy - 0.3


def test_without_splits_it_is_measured_by_cross_validation_and_says_so(kind: str) -> None:
    data = clusters()
    made = trained(kind, dataclasses.replace(data, splits=["unassigned"] * len(data.splits)))
    evidence = made.evidence
    assert evidence.measured_on == evidence.evaluation.split == "cross-validation"
    assert "neither a test nor a validation split" in evidence.note
    assert evidence.evaluation.count == evidence.train_count == len(data.targets)
    assert 0.7 < evidence.evaluation.accuracy <= 1


def test_cross_validation_of_noise_finds_nothing(kind: str) -> None:
    data = clusters(noise=True)
    made = trained(kind, dataclasses.replace(data, splits=["train"] * len(data.splits)))
    assert made.evidence.evaluation.accuracy < 0.45


def test_views_of_an_image_stay_in_one_fold(kind: str) -> None:
    # Labels are noise: a head that saw another view of a held-out image would know its label.
    data = clusters(noise=True)
    rng = np.random.default_rng(0)
    views = data.features + 0.01 * rng.standard_normal((len(data.targets), 3, data.features.shape[2]))
    data = dataclasses.replace(data, features=views.astype(np.float32), splits=["train"] * len(data.splits))
    made = trained(kind, data)
    assert made.evidence.views == 3
    assert made.evidence.evaluation.accuracy < 0.45


def test_balanced_weights_help_the_rare_class(kind: str) -> None:
    data = clusters(classes=2, spread=2.5)
    train = (np.asarray(data.splits) == "train") & (data.targets == 1)
    splits = np.asarray(data.splits).copy()
    splits[np.flatnonzero(train)[6:]] = "elsewhere"
    data = dataclasses.replace(data, splits=splits.tolist())
    plain, balanced = (
        trained(kind, data, class_weight=weight).evidence.evaluation.classes[1].recall
        for weight in (None, "balanced")
    )
    assert balanced >= plain


def test_several_labels(kind: str) -> None:
    data = several_labels()
    made = trained(kind, data)
    evaluation = made.evidence.evaluation
    assert evaluation.multi_label
    assert evaluation.mean_average_precision is not None
    assert evaluation.mean_average_precision > 0.8
    assert evaluation.micro_f1 > 0.7
    p = made.head.probabilities(data.features[:, 0])
    assert ((p >= 0) & (p <= 1)).all()


def test_reject_threshold_keeps_the_right_answers_and_refuses_strangers(kind: str) -> None:
    data = clusters()
    made = trained(kind, data, reject="auto")
    assert made.threshold is not None
    evaluation = made.evidence.evaluation
    assert evaluation.threshold == made.threshold
    assert evaluation.reject_rate is not None
    assert evaluation.reject_rate < 0.35
    assert evaluation.accepted_accuracy is not None
    assert evaluation.accepted_accuracy >= evaluation.accuracy


def test_a_class_of_one_image_works_with_a_warning(kind: str) -> None:
    data = clusters()
    rare = np.flatnonzero((data.targets == 3) & (np.asarray(data.splits) == "train"))[1:]
    splits = np.asarray(data.splits).copy()
    splits[rare] = "elsewhere"
    made = trained(kind, dataclasses.replace(data, splits=splits.tolist()))
    assert any("single training image: class3" in warning for warning in made.evidence.warnings)
    assert made.head.classes == data.classes


def test_evaluating_again_gives_the_same(kind: str) -> None:
    data = clusters()
    made = usual(kind)
    test = np.flatnonzero(np.asarray(data.splits) == "test")
    again = evaluate(
        made.head,
        data.features[test, 0],
        data.targets[test],
        [data.ids[n] for n in test.tolist()],
        split="test",
    )
    assert again == made.evidence.evaluation


def test_what_cannot_be_trained_on_is_refused(kind: str) -> None:
    data = clusters()
    cases = {
        "ONE_CLASS": dataclasses.replace(data, targets=np.zeros_like(data.targets)),
        "NO_LABELS": dataclasses.replace(data, targets=np.full_like(data.targets, -1)),
        "NO_EXAMPLES": TrainingData(data.features[:0], data.targets[:0], data.classes, [], []),
        "NO_TRAINING_EXAMPLES": dataclasses.replace(data, splits=["test"] * len(data.splits)),
        "CLASS_TOO_SMALL": TrainingData(
            data.features[:4], np.arange(4), data.classes, ["train"] * 4, data.ids[:4]
        ),
    }
    for reason, bad in cases.items():
        with pytest.raises(FailedPrecondition) as caught:
            trained(kind, bad)
        assert caught.value.reason == reason
    broken = data.features.copy()
    broken[7, 0, 3] = np.nan
    with pytest.raises(FailedPrecondition, match=data.ids[7]) as caught:
        trained(kind, dataclasses.replace(data, features=broken))
    assert caught.value.reason == "FEATURES_NOT_FINITE"
