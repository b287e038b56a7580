"""Between the wire's models and core's."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import json_format, struct_pb2, timestamp_pb2

from penult.v1 import model_pb2 as pb
from penult.v1 import model_version_pb2 as version_pb
from penult_server.core.datasets import Split
from penult_server.core.finetune_model import FineTuning
from penult_server.core.models import Lineage, Model, ModelKind, ModelVersion
from penult_server.core.predict import Prediction
from penult_server.core.train_head import HeadTraining
from penult_server.transport.convert_datasets import split_from_wire
from penult_server.transport.convert_evaluations import evidence_to_wire
from penult_server.transport.convert_features import augmentation_from_wire

_KINDS = {
    ModelKind.HEAD: version_pb.MODEL_KIND_HEAD,
    ModelKind.ENSEMBLE: version_pb.MODEL_KIND_ENSEMBLE,
    ModelKind.FINE_TUNED: version_pb.MODEL_KIND_FINE_TUNED,
}
_NOTHING = pb.Prediction()


def version_to_wire(version: ModelVersion) -> version_pb.ModelVersion:
    """A version with as much of its evidence as is known."""
    message = version_pb.ModelVersion(
        model=version.model,
        version=version.version,
        create_time=_time(version.created_ms),
        kind=_KINDS[version.kind],
        labels=version.labels,
        multi_label=version.multi_label,
        threshold=version.threshold,
        members=version.members,
        metrics=version.metrics,
        aliases=version.aliases,
        size_bytes=version.size_bytes,
    )
    if version.lineage is not None:
        message.lineage.CopyFrom(_lineage_to_wire(version.lineage))
    if version.evidence is not None:
        message.evidence.CopyFrom(evidence_to_wire(version.evidence))
    return message


def model_to_wire(model: Model) -> pb.Model:
    """A model with its latest version."""
    return pb.Model(
        name=model.name,
        create_time=_time(model.created_ms),
        version_count=model.version_count,
        aliases=model.aliases,
        latest=version_to_wire(model.latest),
    )


def training_from_wire(request: pb.TrainHeadRequest) -> HeadTraining:
    """What to train. Raises InvalidArgument for an enum value of no meaning here."""
    training = HeadTraining(
        name=request.name,
        dataset=request.dataset,
        head=request.head,
        parameters=parameters_from_wire(request.parameters),
        backbone=request.backbone,
        request_id=request.request_id,
    )
    if not request.HasField("augment"):
        return training
    augment = augmentation_from_wire(request.augment, "augment")
    return HeadTraining(
        training.name, training.dataset, training.head, training.parameters, training.backbone,
        augment, training.request_id,
    )  # fmt: skip


def tuning_from_wire(request: pb.FineTuneRequest | pb.TuneRequest) -> FineTuning:
    """What to fine-tune, once or in many trials."""
    return FineTuning(
        name=request.name,
        dataset=request.dataset,
        backbone=request.backbone,
        init_from=request.init_from,
        settings=parameters_from_wire(request.settings),
        request_id=request.request_id,
    )


def parameters_from_wire(parameters: struct_pb2.Struct) -> dict[str, Any]:
    """As JSON; whole numbers, which a Struct cannot tell from others, as such."""
    return {key: _whole(value) for key, value in json_format.MessageToDict(parameters).items()}


def prediction_to_wire(prediction: Prediction | None) -> pb.Prediction:
    """What is said of an image; an empty message where it failed."""
    if prediction is None:
        return _NOTHING
    return pb.Prediction(
        top=[pb.LabelProbability(label=label, probability=value) for label, value in prediction.top],
        rejected=prediction.rejected,
        labels=prediction.labels,
    )


def evaluated_split(number: int) -> Split:
    """The split to measure on. Raises InvalidArgument for one of no meaning here."""
    return split_from_wire(number) or Split.TEST


def _lineage_to_wire(lineage: Lineage) -> version_pb.Lineage:
    parameters = struct_pb2.Struct()
    json_format.ParseDict(dict(lineage.parameters), parameters)
    return version_pb.Lineage(
        dataset=lineage.dataset,
        dataset_revision=lineage.dataset_revision,
        example_count=lineage.example_count,
        dataset_sha256=lineage.dataset_sha256,
        backbone=lineage.backbone,
        fingerprint=lineage.fingerprint,
        head=lineage.head,
        parameters=parameters,
        augment=lineage.augment,
        code_version=lineage.code_version,
        parent=lineage.parent,
        job=lineage.job,
        start_backbone=lineage.start_backbone,
        start_weights_sha256=lineage.start_weights_sha256,
        variant=lineage.variant,
    )


def _whole(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return value


def _time(milliseconds: int) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp
