"""Models, evidence and predictions from core over the wire into the SDK, and nothing lost."""

from __future__ import annotations

import dataclasses
import json

import pytest
from google.protobuf import struct_pb2

from penult._batches import Answered
from penult._evaluations import evaluation
from penult._jobs import job_fields
from penult._models import model, prediction_batch, train_request
from penult.v1 import model_pb2 as pb
from penult_server.core.errors import InvalidArgument
from penult_server.core.jobs import Job, JobState
from penult_server.core.models import Lineage, ModelKind, ModelVersion, version_from_json
from penult_server.core.predict import Prediction
from penult_server.core.preprocess import PLAIN, TestTimeAugmentation
from penult_server.transport.convert_evaluations import evaluation_to_wire
from penult_server.transport.convert_jobs import job_to_wire, listed_job_to_wire
from penult_server.transport.convert_models import (
    prediction_to_wire,
    training_from_wire,
    version_to_wire,
)
from tests.evidence import EVALUATION, EVIDENCE

VERSION = ModelVersion(
    id=3, model="clothes", version=2, created_ms=1_700_000_000_123, kind=ModelKind.HEAD,
    labels=("boot", "shoe"), multi_label=False, threshold=0.5,
    lineage=Lineage("clothing", 7, 120, "d" * 64, "lite0", "f" * 64, "ridge",
                    {"C": 0.5, "folds": 5, "x": None}, "flip", "0.1", "base@1", "job-1"),
    members=(), metrics={"accuracy": 0.9}, aliases=("production",), artifact="job-1", size_bytes=10,
    evidence=EVIDENCE,
)  # fmt: skip


def job(result: dict[str, object]) -> Job:
    kept = json.loads(json.dumps(result))
    return Job("1", "train_head", "clothes", JobState.SUCCEEDED, 1.0, True, ended=2.0, result=kept)


def test_an_evaluation_arrives_whole() -> None:
    assert dataclasses.asdict(evaluation(evaluation_to_wire(EVALUATION))) == dataclasses.asdict(EVALUATION)
    several = dataclasses.replace(
        EVALUATION, multi_label=True, top5_accuracy=None, mean_average_precision=0.75, confusion=(),
        threshold=None, reject_rate=None, accepted_accuracy=None,
        classes=(dataclasses.replace(EVALUATION.classes[0], average_precision=0.0),),
    )  # fmt: skip
    assert dataclasses.asdict(evaluation(evaluation_to_wire(several))) == dataclasses.asdict(several)


def test_a_version_arrives_whole() -> None:
    found = model(version_to_wire(VERSION))
    assert found.reference == "clothes@2"
    assert found.created.timestamp() == pytest.approx(1_700_000_000.123)
    assert (found.kind, found.labels, found.threshold) == ("head", ("boot", "shoe"), 0.5)
    assert (found.metrics, found.aliases, found.size_bytes) == ({"accuracy": 0.9}, ("production",), 10)
    assert dataclasses.asdict(found)["evidence"] == dataclasses.asdict(EVIDENCE)
    assert dataclasses.asdict(found)["lineage"] == dataclasses.asdict(VERSION)["lineage"]
    ensemble = dataclasses.replace(
        VERSION, kind=ModelKind.ENSEMBLE, lineage=None, threshold=None, evidence=None, members=("a@1", "b@2")
    )
    found = model(version_to_wire(ensemble))
    assert (found.kind, found.members, found.lineage) == ("ensemble", ("a@1", "b@2"), None)
    assert (found.threshold, found.evidence) == (None, None)


def test_a_version_survives_json() -> None:
    values = json.loads(json.dumps(dataclasses.asdict(VERSION)))
    assert version_from_json(values) == VERSION
    bare = dataclasses.replace(VERSION, lineage=None, evidence=None, members=("a@1",))
    assert version_from_json(json.loads(json.dumps(dataclasses.asdict(bare)))) == bare


def test_results_of_jobs_are_whole_and_brief_in_lists() -> None:
    trained = job({"model_version": dataclasses.asdict(VERSION)})
    assert job_fields(job_to_wire(trained))["output"] == model(version_to_wire(VERSION))
    brief = job_fields(listed_job_to_wire(trained))["output"]
    assert (brief.evidence, brief.metrics) == (None, {"accuracy": 0.9})
    measured = job({"evaluation": dataclasses.asdict(EVALUATION)})
    assert dataclasses.asdict(job_fields(job_to_wire(measured))["output"]) == dataclasses.asdict(EVALUATION)
    brief = job_fields(listed_job_to_wire(measured))["output"]
    assert (brief.accuracy, brief.labels, brief.confusion, brief.mistakes) == (0.9, ("boot", "shoe"), (), ())
    assert (
        job_fields(listed_job_to_wire(job({"dataset_analysis": {"dataset": "a"}})))["output"].dataset == "a"
    )


def test_a_training_is_read_as_it_was_meant() -> None:
    request = train_request(
        "clothes",
        "clothing",
        "ridge",
        None,
        "flip",
        {"C": 0.5, "folds": 3, "class_weight": None, "x": [1, 2.5]},
    )
    wanted = training_from_wire(pb.TrainHeadRequest.FromString(request.SerializeToString()))
    assert (wanted.name, wanted.dataset, wanted.head, wanted.backbone) == ("clothes", "clothing", "ridge", "")
    assert wanted.parameters == {"C": 0.5, "folds": 3, "class_weight": None, "x": [1, 2.5]}
    assert isinstance(wanted.parameters["folds"], int)
    assert wanted.augment == TestTimeAugmentation(flip=True)
    assert wanted.request_id
    assert training_from_wire(pb.TrainHeadRequest(name="a")).augment == PLAIN
    wrong = pb.TrainHeadRequest(name="a")
    wrong.augment.crops = 7  # type: ignore[assignment]
    with pytest.raises(InvalidArgument) as caught:
        training_from_wire(wrong)
    assert caught.value.field == "augment.crops"
    assert struct_pb2.Struct() == pb.TrainHeadRequest(name="a").parameters


def test_predictions_arrive_in_order_with_holes_for_failed_images() -> None:
    said = Prediction((("boot", 0.75), ("shoe", 0.25)), True, ("boot",))
    response = pb.PredictResponse(
        predictions=map(prediction_to_wire, [said, None]), model="clothes", version=2
    )
    batch = prediction_batch(response, Answered(("a.jpg", "b.jpg"), 32, ()))
    first, second = batch.predictions
    assert first is not None
    assert (first.label, first.probability, first.top) == ("boot", 0.75, said.top)
    assert (first.rejected, first.labels, first.name) == (True, ("boot",), "a.jpg")
    assert (second, batch.model, batch.first_index, batch.count) == (None, "clothes@2", 32, 2)
